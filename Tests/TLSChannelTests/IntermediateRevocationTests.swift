// SPDX-License-Identifier: Apache-2.0

import CConductorOpenSSL
import Testing

@testable import CertificateIssuing
@testable import TLSChannel

/// A guest whose certificate is issued by an intermediate authority below the trusted one.
@Suite(.timeLimit(.minutes(1)))
struct IntermediateRevocationTests {
    private let identities: TestIdentities
    private let root: CertificateAuthority
    private let middle: CertificateAuthority
    private let guest: IssuedCertificate

    init() throws {
        self.identities = try TestIdentities()
        let rootBuilder = try CertificateBuilder(commonName: "root", validity: .days(1))
        try Self.makeAuthority(rootBuilder, "critical,CA:TRUE")
        let root = try rootBuilder.selfSigned()
        self.root = try CertificateAuthority(certificatePEM: root.certificatePEM, privateKeyPEM: root.privateKeyPEM)
        self.middle = try Self.makeMiddle(of: self.root)
        self.guest = try self.middle.issueClient(commonName: "guest", validity: .days(1))
    }

    private static func makeMiddle(
        of root: CertificateAuthority, usage: StaticString = "critical,keyCertSign,cRLSign"
    ) throws -> CertificateAuthority {
        let middle = try root.withHandles { (issuer, key) throws(TLSError) in
            let builder = try CertificateBuilder(commonName: "middle", validity: .days(1))
            try builder.setIssuer(issuer)
            try Self.makeAuthority(builder, "critical,CA:TRUE,pathlen:0", usage: usage)
            try builder.add(NID_authority_key_identifier, "keyid:always", issuer: issuer)
            return try builder.signed(by: key)
        }
        return try CertificateAuthority(certificatePEM: middle.certificatePEM, privateKeyPEM: middle.privateKeyPEM)
    }

    private static func makeAuthority(
        _ builder: CertificateBuilder, _ constraints: StaticString, usage: StaticString = "critical,keyCertSign,cRLSign"
    ) throws(TLSError) {
        try builder.add(NID_basic_constraints, constraints)
        try builder.add(NID_key_usage, usage)
        try builder.add(NID_subject_key_identifier, "hash")
    }

    private func lists(revokesMiddle: Bool = false, revokesGuest: Bool = false) throws -> (root: String, middle: String)
    {
        (
            try self.root.revocationList(
                revoking: revokesMiddle ? [self.middle.certificatePEM] : [], validity: .days(1)),
            try self.middle.revocationList(
                revoking: revokesGuest ? [self.guest.certificatePEM] : [], validity: .days(1))
        )
    }

    /// Returns the server's error for a guest that also sends the intermediate authority, and the verified chain.
    private func handshake(
        _ lists: String, by middle: CertificateAuthority? = nil
    ) throws -> (error: TLSError?, chain: VerifiedChain?) {
        let guest = try middle?.issueClient(commonName: "guest", validity: .days(1)) ?? self.guest
        var client = self.identities.clientConfiguration()
        client.certificateChain = .pem(guest.certificatePEM + (middle ?? self.middle).certificatePEM)
        client.privateKey = .pem(guest.privateKeyPEM)
        var server = self.identities.serverConfiguration(trust: self.root)
        server.revocationLists = .pem(lists)
        let pair = try EnginePair(client: client, server: server)
        try pair.handshake()
        return (pair.serverError, pair.server.verifiedChain)
    }

    @Test("Every certificate of a chain is checked against the revocation lists")
    func wholeChain() throws {
        let clean = try self.lists()
        #expect(try self.handshake(clean.root + clean.middle).error == nil)
        let middle = try self.lists(revokesMiddle: true)
        let error = try self.handshake(middle.root + middle.middle).error
        #expect(error?.message.contains("revoked") == true && error?.message.contains("CN=middle") == true)
        let guest = try self.lists(revokesGuest: true)
        #expect(try self.handshake(guest.root + guest.middle).error?.message.contains("revoked") == true)
    }

    @Test("A chain with an issuer that has no list is rejected")
    func issuerWithoutList() throws {
        let error = try self.handshake(self.lists().root).error
        #expect(error?.message.contains("add the list of its issuer") == true)
    }

    @Test("The chain of an open connection counts as revoked with its intermediate authority")
    func revokedIntermediate() throws {
        let clean = try self.lists()
        let chain = try #require(try self.handshake(clean.root + clean.middle).chain)
        let later = try self.lists(revokesMiddle: true)
        #expect(try RevocationLists(.pem(later.root), of: self.root).contains(chain))
        #expect(try !RevocationLists(.pem(later.middle), of: self.middle).contains(chain))
    }

    /// The signature of a list whose issuer is known only from the chains of peers.
    @Test("A forged list of an intermediate authority admits no guest and revokes none")
    func forgedIntermediateList() async throws {
        let clean = try self.lists()
        let chain = try #require(try self.handshake(clean.root + clean.middle).chain)
        let namesake = try CertificateAuthority.create(commonName: "middle", validity: .days(1))
        let number = try #require(chain.certificates.first.flatMap { PeerCertificate(x509: $0) }).serialNumber
        let forged = try await OpenSSLList.make(authority: namesake, serialNumber: number)
        let error = try self.handshake(clean.root + forged).error
        #expect(error?.message.contains("signed by another key") == true, "\(error.debugDescription)")
        let lists = try RevocationLists(.pem(clean.root + forged), of: self.root)
        #expect(!lists.contains(chain))
        // Next to the true one it has no effect, in either order.
        #expect(try self.handshake(clean.root + forged + clean.middle).error == nil)
        #expect(try self.handshake(clean.root + clean.middle + forged).error == nil)
    }

    @Test("The list of an intermediate authority is verified once")
    func verifiedOnce() throws {
        let clean = try self.lists(revokesGuest: true)
        let lists = try RevocationLists(.pem(clean.root + clean.middle), of: self.root)
        let open = try self.lists()
        let chain = try #require(try self.handshake(open.root + open.middle).chain)
        #expect(lists.lists.map(\.verifications).sorted() == [0, 1])
        for _ in 0..<3 {
            #expect(lists.contains(chain))
            #expect(lists.rejection(of: chain, now: 0)?.depth == 0)
        }
        #expect(lists.lists.map(\.verifications) == [1, 1])
    }

    @Test("Of two lists of an intermediate authority, the newer one counts")
    func newerListCounts() throws {
        let old = try self.lists(revokesGuest: true)
        let new = try self.middle.revocationList(
            after: self.middle.revocationList(validity: .days(1)), validity: .days(1))
        #expect(try self.handshake(old.root + new + old.middle).error == nil)
        #expect(try self.handshake(old.root + old.middle + new).error == nil)
    }

    @Test("A list of an intermediate authority that may not sign lists does not count")
    func notAllowedToSign() throws {
        let middle = try Self.makeMiddle(of: self.root, usage: "critical,keyCertSign")
        let lists = try self.lists().root + middle.revocationList(validity: .days(1))
        let error = try self.handshake(lists, by: middle).error
        #expect(error?.message.contains("cRLSign") == true, "\(error.debugDescription)")
    }
}
