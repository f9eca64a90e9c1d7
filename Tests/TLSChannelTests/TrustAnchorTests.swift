// SPDX-License-Identifier: Apache-2.0

import CConductorOpenSSL
import Glibc
import NIOEmbedded
import Testing

@testable import CertificateIssuing
@testable import TLSChannel

/// The authorities that may end a chain, and the effect of those above them.
@Suite("Trust anchors", .timeLimit(.minutes(1)))
struct TrustAnchorTests {
    private let identities: TestIdentities
    private let root: CertificateAuthority
    private let issuing: CertificateAuthority
    private let guest: IssuedCertificate

    init() throws {
        self.identities = try TestIdentities()
        self.root = try .root()
        self.issuing = try self.root.issueAuthority("issuing")
        self.guest = try self.issuing.issueClient(commonName: "guest", validity: .days(1))
    }

    private func server(_ roots: [CertificateAuthority], lists: [String]? = nil) -> TLSConfiguration {
        var server = self.identities.serverConfiguration()
        server.trustRoots = .pem(roots.map(\.certificatePEM).joined())
        server.revocationLists = lists.map { .pem($0.joined()) }
        return server
    }

    private func handshake(
        _ server: TLSConfiguration, guest: IssuedCertificate? = nil, sending chain: [CertificateAuthority] = []
    ) throws -> TLSError? {
        var client = self.identities.clientConfiguration(identity: guest ?? self.guest)
        client.certificateChain = .pem(
            ([(guest ?? self.guest).certificatePEM] + chain.map(\.certificatePEM)).joined())
        let pair = try EnginePair(client: client, server: server)
        try pair.handshake()
        return pair.serverError
    }

    @Test("Trusting an issuing authority alone does not trust other authorities of its root")
    func issuingAuthority() throws {
        let server = self.server([self.issuing])
        #expect(try self.handshake(server) == nil)
        #expect(try self.handshake(server, sending: [self.issuing]) == nil)
        #expect(try self.handshake(server, sending: [self.issuing, self.root]) == nil)
        let sister = try self.root.issueAuthority("sister")
        let stranger = try sister.issueClient(commonName: "stranger", validity: .days(1))
        let error = try self.handshake(server, guest: stranger, sending: [sister, self.root])
        #expect(error?.code == .verificationFailed)
        #expect(error?.message.contains("authority is unknown") == true, "\(error.debugDescription)")
        // Nor certificates that the root has issued itself.
        let direct = try self.root.issueClient(commonName: "direct", validity: .days(1))
        #expect(try self.handshake(server, guest: direct, sending: [self.root])?.code == .verificationFailed)
    }

    @Test("A guest too can trust an issuing authority alone")
    func conductors() throws {
        let conductor = try self.issuing.issueServer(
            commonName: "conductor", dnsNames: ["localhost"], validity: .days(1))
        let pair = try EnginePair(
            client: self.identities.clientConfiguration(trust: self.issuing),
            server: self.identities.serverConfiguration(identity: conductor))
        try pair.handshake()
        #expect(pair.clientError == nil && pair.serverError == nil)
    }

    @Test("A trusted issuing authority needs its own list, and not its root's")
    func ownList() throws {
        let empty = try self.issuing.revocationList(validity: .days(1))
        #expect(try self.handshake(self.server([self.issuing], lists: [empty])) == nil)
        let revoking = try self.issuing.revocationList(revoking: [self.guest.certificatePEM], validity: .days(1))
        let error = try self.handshake(self.server([self.issuing], lists: [revoking]))
        #expect(error?.message.contains("revoked") == true, "\(error.debugDescription)")
        let missing = #expect(throws: TLSError.self) {
            try TLSContext(
                configuration: self.server([self.issuing], lists: [self.root.revocationList(validity: .days(1))]))
        }
        #expect(missing?.code == .revocationListRefused)
    }

    @Test("An expired root needs no list, but its list still revokes the issuing authority")
    func expiredRoot() throws {
        let root = try CertificateAuthority.root("old root", validity: TestIdentities.yesterday)
        let issuing = try root.issueAuthority("issuing")
        let guest = try issuing.issueClient(commonName: "guest", validity: .days(1))
        let own = try issuing.revocationList(validity: .days(1))
        for bundle in [[root, issuing], [issuing, root]] {
            #expect(try self.handshake(self.server(bundle, lists: [own]), guest: guest) == nil)
        }
        // A list that has expired with it does not keep guests out either.
        let ended = try root.revocationList(validity: TestIdentities.yesterday)
        #expect(try self.handshake(self.server([root, issuing], lists: [ended, own]), guest: guest) == nil)
        let revoking = try root.revocationList(revoking: [issuing.certificatePEM], validity: TestIdentities.yesterday)
        let error = try self.handshake(self.server([root, issuing], lists: [revoking, own]), guest: guest)
        #expect(error?.message.contains("revoked") == true && error?.message.contains("CN=issuing") == true)
    }

    @Test("A renewed root needs a valid list even if its expired certificate is trusted too")
    func renewedRoot() throws {
        let expired = try CertificateAuthority.root("old root", validity: TestIdentities.yesterday)
        let renewed = try CertificateAuthority(
            certificatePEM: expired.withHandles { (certificate, key) throws(TLSError) in
                let builder = try CertificateBuilder(renewing: certificate, validity: .days(1))
                try builder.setIssuer(certificate)
                for (nid, value) in CertificateAuthority.authorityExtensions { try builder.add(nid, value) }
                try builder.add(NID_subject_key_identifier, "hash")
                return try builder.certificate(signedBy: key)
            }, privateKeyPEM: expired.privateKeyPEM)
        let issuing = try renewed.issueAuthority("issuing")
        let guest = try issuing.issueClient(commonName: "guest", validity: .days(1))
        let own = try issuing.revocationList(validity: .days(1))
        let fresh = try renewed.revocationList(validity: .days(1))
        let stale = try renewed.revocationList(validity: TestIdentities.yesterday)
        for bundle in [
            [expired, renewed, issuing], [renewed, expired, issuing], [issuing, expired, renewed],
            [issuing, renewed, expired],
        ] {
            #expect(try self.handshake(self.server(bundle, lists: [fresh, own]), guest: guest) == nil)
            let error = try self.handshake(self.server(bundle, lists: [stale, own]), guest: guest)
            #expect(error?.message.contains("nextUpdate") == true, "\(error.debugDescription)")
        }
    }

    /// The serial number of an authority is assigned by its issuer, and means nothing in the authority's own list.
    @Test("Revoking a certificate with the same serial number does not revoke its authority")
    func sameNumber() throws {
        var issuing = self.issuing
        let number: (OpaquePointer) -> Void = { ASN1_INTEGER_set_int64(X509_get_serialNumber($0), 2) }
        issuing = try CertificateAuthority(
            certificatePEM: self.root.resigned(
                certificate: issuing.certificatePEM, digest: EVP_sha256(), number), privateKeyPEM: issuing.privateKeyPEM
        )
        let other = try issuing.resigned(
            certificate: issuing.issueClient(commonName: "other", validity: .days(1)).certificatePEM,
            digest: EVP_sha256(), number)
        let list = try issuing.revocationList(revoking: [other], validity: .days(1))
        #expect(try self.handshake(self.server([issuing], lists: [list])) == nil)
    }

    @Test("An authority that its root has revoked is rejected although both are trusted")
    func revokedAnchor() throws {
        let own = try self.issuing.revocationList(validity: .days(1))
        let clean = try self.root.revocationList(validity: .days(1))
        let server = self.server([self.root, self.issuing], lists: [clean, own])
        #expect(try self.handshake(server) == nil)
        let list = try self.root.revocationList(revoking: [self.issuing.certificatePEM], validity: .days(1))
        for bundle in [[self.root, self.issuing], [self.issuing, self.root]] {
            let error = try self.handshake(self.server(bundle, lists: [list, own]))
            #expect(error?.message.contains("revoked") == true && error?.message.contains("CN=issuing") == true)
        }
        // An authority whose status is unknown counts as revoked there too.
        let old = try self.root.revocationList(validity: TestIdentities.yesterday)
        #expect(
            try self.handshake(self.server([self.root, self.issuing], lists: [old, own]))?.message.contains(
                "nextUpdate") == true)
        // The same for an open connection.
        let live = LiveTLSContext(try TLSContext(configuration: server))
        let pair = try ChannelPair(
            self.identities, client: self.identities.clientConfiguration(identity: self.guest), live: live)
        try pair.establish()
        live.replace(with: try TLSContext(configuration: self.server([self.root, self.issuing], lists: [list, own])))
        pair.server.embeddedEventLoop.run()
        #expect(pair.serverLog.events == ["error revoked", "inactive"])
    }

    @Test("The search for issuers ends when two authorities have issued each other")
    func crossSigned() throws {
        let one = try CertificateAuthority.root("one")
        let other = try CertificateAuthority.root("other")
        let crossed = try [(one, other), (other, one)].map { subject, issuer in
            try issuer.withHandles { (certificate, key) throws(TLSError) in
                let subjects = try PEMDocument("subject", .pem(subject.certificatePEM)).certificates()
                defer { PEMDocument.free(subjects) }
                let builder = try CertificateBuilder(renewing: subjects[0], validity: .days(1))
                try builder.setIssuer(certificate)
                for (nid, value) in CertificateAuthority.authorityExtensions { try builder.add(nid, value) }
                return try builder.certificate(signedBy: key)
            }
        }
        let anchors = try TrustAnchors(PEMDocument("anchors", .pem(crossed.joined())))
        // Each is issued by the other, and that one by it.
        #expect(anchors.links(above: anchors.certificates[0]).count == 2)
        #expect(anchors.links(above: anchors.certificates[1]).count == 2)
    }

    @Test("A guest of a trusted authority that has expired is rejected")
    func expiredAnchor() throws {
        let now = Int64(time(nil))
        let expired = try self.root.issueAuthority("expired", validity: .init(notBefore: now - 100, notAfter: now - 10))
        let guest = try expired.issueClient(commonName: "guest", validity: .days(1))
        let error = try self.handshake(self.server([expired]), guest: guest)
        #expect(error?.message.contains("expired") == true, "\(error.debugDescription)")
    }

    @Test("A leaf certificate among the trusted authorities is rejected when it is loaded")
    func leafAmongAuthorities() throws {
        var server = self.server([self.root])
        server.trustRoots = .pem(self.root.certificatePEM + self.guest.certificatePEM)
        let error = #expect(throws: TLSError.self) { try TLSContext(configuration: server) }
        #expect(error?.code == .invalidConfiguration)
        #expect(
            error?.message.contains("number 2, CN=guest, is not an authority's") == true, "\(error.debugDescription)")
    }

    @Test("A chain may have at most five authorities")
    func depth() throws {
        // The root, and below it the authorities that the guest sends.
        var below: [CertificateAuthority] = []
        for number in 1...5 {
            let issuer = below.first ?? self.root
            let guest = try issuer.issueClient(commonName: "guest", validity: .days(1))
            #expect(try self.handshake(self.server([self.root]), guest: guest, sending: below) == nil, "\(number)")
            below.insert(try issuer.issueAuthority("below \(number)"), at: 0)
        }
        let guest = try below[0].issueClient(commonName: "guest", validity: .days(1))
        let error = try self.handshake(self.server([self.root]), guest: guest, sending: below)
        #expect(error?.code == .verificationFailed)
        #expect(error?.message.contains("at most 5 authorities") == true, "\(error.debugDescription)")
        // With a trusted authority that is nearer, the chain is short enough.
        #expect(try self.handshake(self.server([below[3]]), guest: guest, sending: below) == nil)
        // An own chain that is too long is rejected when it is loaded.
        let own = #expect(throws: TLSError.self) {
            try self.handshake(self.server([self.root]), guest: guest, sending: below + [self.root])
        }
        #expect(own?.message.contains("a chain may have at most 5") == true, "\(own.debugDescription)")
    }
}
