// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore
import Testing

@testable import CertificateIssuing
@testable import TLSChannel

/// The peers that are accepted when there are revocation lists. Engine against engine.
@Suite(.timeLimit(.minutes(1)))
struct RevocationTests {
    let identities: TestIdentities

    init() throws {
        self.identities = try TestIdentities()
    }

    private func list(
        _ revoked: [IssuedCertificate] = [], of authority: CertificateAuthority? = nil,
        validity: CertificateValidity = .days(1)
    ) throws -> TLSSource {
        let authority = authority ?? self.identities.authority
        return .pem(
            try authority.revocationList(revoking: revoked.map(\.certificatePEM), validity: validity))
    }

    private func server(_ lists: TLSSource?, trust: TLSSource? = nil) -> TLSConfiguration {
        var configuration = self.identities.serverConfiguration()
        configuration.revocationLists = lists
        if let trust { configuration.trustRoots = trust }
        return configuration
    }

    private func run(
        client: TLSConfiguration? = nil, server: TLSConfiguration? = nil
    ) throws -> (client: TLSError?, server: TLSError?, pair: EnginePair) {
        let pair = try EnginePair(
            client: client ?? self.identities.clientConfiguration(),
            server: server ?? self.identities.serverConfiguration())
        try pair.handshake()
        return (pair.clientError, pair.serverError, pair)
    }

    @Test("A revoked guest is rejected, and receives the reason")
    func revokedGuest() throws {
        let result = try self.run(server: self.server(self.list([self.identities.client])))
        #expect(result.server?.code == .verificationFailed)
        #expect(result.server?.message.contains("revoked") == true)
        #expect(result.server?.message.contains("CN=guest") == true)
        #expect(result.client?.code == .refusedByPeer)
        #expect(result.client?.message.contains("certificate revoked") == true)
        #expect(result.pair.server.peerCertificate == nil)
    }

    @Test("A guest that its authority's list does not name is accepted")
    func otherGuest() throws {
        let other = try self.identities.authority.issueClient(commonName: "other", validity: .days(1))
        let result = try self.run(server: self.server(self.list([other])))
        #expect(result.server == nil && result.client == nil)
    }

    @Test("A guest rejects a revoked conductor")
    func revokedConductor() throws {
        var client = self.identities.clientConfiguration()
        client.revocationLists = try self.list([self.identities.server])
        let result = try self.run(client: client)
        #expect(result.client?.code == .verificationFailed)
        #expect(result.client?.message.contains("revoked") == true)
        #expect(result.server?.message.contains("certificate revoked") == true)
    }

    @Test("A guest is rejected under a list that has expired")
    func expiredList() throws {
        let lists = try self.list(validity: TestIdentities.yesterday)
        let result = try self.run(server: self.server(lists))
        #expect(result.server?.code == .verificationFailed)
        #expect(result.server?.message.contains("nextUpdate") == true)
    }

    @Test("Of two lists of one authority, the valid one counts")
    func validListCounts() throws {
        guard case .pem(let old) = try self.list(validity: TestIdentities.yesterday),
            case .pem(let new) = try self.list([self.identities.client])
        else { throw Unexpected() }
        let both = self.server(.pem(old + new))
        #expect(try self.run(server: both).server?.message.contains("revoked") == true)
        let ends = try TLSContext(configuration: both).expiries.filter { $0.kind == .revocationList }
        #expect(ends.count == 1 && ends[0].notAfter > Int64(time(nil)))
    }

    @Test("A guest is rejected under a list that is not valid yet")
    func futureList() throws {
        let now = Int64(time(nil))
        let lists = try self.list(validity: CertificateValidity(notBefore: now + 3600, notAfter: now + 7200))
        let result = try self.run(server: self.server(lists))
        #expect(result.server?.message.contains("clock") == true)
    }

    // MARK: Loading

    private func refusal(_ configuration: TLSConfiguration) -> TLSError? {
        #expect(throws: TLSError.self) { try TLSContext(configuration: configuration) }
    }

    @Test("Every trusted authority needs a list")
    func listPerAuthority() throws {
        let other = try CertificateAuthority.create(commonName: "the other one", validity: .days(1))
        let both = TLSSource.pem(self.identities.authority.certificatePEM + other.certificatePEM)
        let error = try self.refusal(self.server(self.list(), trust: both))
        #expect(error?.code == .revocationListRefused)
        #expect(error?.message.contains("CN=the other one") == true)
        guard case .pem(let first) = try self.list(), case .pem(let second) = try self.list(of: other) else {
            throw Unexpected()
        }
        _ = try TLSContext(configuration: self.server(.pem(first + second), trust: both))
    }

    @Test("An authority that has expired needs no list")
    func expiredAuthority() throws {
        let old = try CertificateAuthority.create(commonName: "old", validity: TestIdentities.yesterday)
        let both = TLSSource.pem(self.identities.authority.certificatePEM + old.certificatePEM)
        _ = try TLSContext(configuration: self.server(self.list(), trust: both))
    }

    @Test("A forged list is rejected")
    func forgedList() throws {
        let namesake = try CertificateAuthority.create(commonName: "test authority", validity: .days(1))
        let error = try self.refusal(self.server(self.list(of: namesake)))
        #expect(error?.code == .revocationListRefused)
        #expect(error?.message.contains("not signed") == true)
    }

    @Test("A source that is missing, damaged, or not a list is rejected")
    func invalidLists() throws {
        #expect(self.refusal(self.server(.pem("")))?.code == .malformedPEM)
        #expect(self.refusal(self.server(.pem(self.identities.authority.certificatePEM)))?.code == .malformedPEM)
        guard case .pem(let whole) = try self.list() else { throw Unexpected() }
        let cut = self.refusal(self.server(.pem(whole + whole.prefix(whole.utf8.count / 2))))
        #expect(cut?.message.contains("number 2 is damaged") == true)
        #expect(
            self.refusal(self.server(.file("/nonexistent/ca.crl")))?.message.contains("/nonexistent/ca.crl") == true)
    }

    // MARK: Open connections

    @Test("The chain of an open connection is checked against lists")
    func openConnection() throws {
        let pair = try self.run().pair
        let chain = try #require(pair.server.verifiedChain)
        func lists(_ source: TLSSource) throws -> RevocationLists {
            try RevocationLists(source, of: self.identities.authority)
        }
        #expect(try lists(self.list([self.identities.client])).contains(chain))
        #expect(try !lists(self.list()).contains(chain))
        #expect(try !lists(self.list([self.identities.server])).contains(chain))
        // A list that has expired still revokes what it names.
        #expect(try lists(self.list([self.identities.client], validity: TestIdentities.yesterday)).contains(chain))
        #expect(pair.client.verifiedChain != nil)
    }

    @Test("An authority cannot revoke certificates of another one with the same name")
    func sameNameAuthority() async throws {
        let pair = try self.run().pair
        let chain = try #require(pair.server.verifiedChain)
        let serial = try #require(pair.server.peerCertificate?.serialNumber)
        let namesake = try CertificateAuthority.create(commonName: "test authority", validity: .days(1))
        for (authority, isRevoked) in [(self.identities.authority, true), (namesake, false)] {
            // A list with this exact serial number: the `openssl` program accepts any number.
            let text = try await OpenSSLList.make(authority: authority, serialNumber: serial)
            #expect(try RevocationLists(.pem(text), of: authority).contains(chain) == isRevoked, "\(text)")
        }
    }

    // MARK: Lists of the project's own authority

    @Test("The next list keeps the entries of the previous one")
    func nextList() throws {
        let authority = self.identities.authority
        let first = try authority.revocationList(
            revoking: [self.identities.client.certificatePEM], validity: .days(1))
        let second = try authority.revocationList(
            revoking: [self.identities.server.certificatePEM, self.identities.client.certificatePEM], after: first,
            validity: .days(1))
        #expect(try RevocationLists(.pem(first), of: authority).count == 1)
        #expect(try RevocationLists(.pem(second), of: authority).count == 2)
        #expect(try self.run(server: self.server(.pem(second))).server?.message.contains("revoked") == true)
    }

    @Test("An authority revokes only its own certificates, and continues only its own lists")
    func foreignInput() throws {
        let other = try TestIdentities()
        let foreign = #expect(throws: TLSError.self) {
            try self.identities.authority.revocationList(
                revoking: [other.client.certificatePEM], validity: .days(1))
        }
        #expect(foreign?.code == .certificateNotIssued)
        let list = try other.authority.revocationList(validity: .days(1))
        let previous = #expect(throws: TLSError.self) {
            try self.identities.authority.revocationList(after: list, validity: .days(1))
        }
        #expect(previous?.code == .certificateNotIssued)
    }
}
