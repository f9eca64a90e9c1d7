// SPDX-License-Identifier: Apache-2.0

import CConductorOpenSSL
import Glibc
import Testing

@testable import CertificateIssuing
@testable import TLSChannel

/// Lists that must not be used, and the choice between several. Each is made by the `openssl` program.
@Suite(.timeLimit(.minutes(1)))
struct RevocationListLoadingTests {
    let identities: TestIdentities
    let serial: String

    init() throws {
        self.identities = try TestIdentities()
        let guest = try PEMDocument("guest", .pem(self.identities.client.certificatePEM)).certificates()
        defer { PEMDocument.free(guest) }
        self.serial = try #require(PeerCertificate(x509: guest[0])).serialNumber
    }

    private func list(
        revoking serial: String? = nil, number: String? = nil, ageInHours: Double = 0, extensions: String = ""
    ) async throws -> String {
        try await OpenSSLList.make(
            authority: self.identities.authority, serialNumber: serial, number: number, ageInHours: ageInHours,
            extensions: extensions)
    }

    private func configuration(_ lists: String) -> TLSConfiguration {
        var configuration = self.identities.serverConfiguration()
        configuration.revocationLists = .pem(lists)
        return configuration
    }

    private func refusal(_ lists: String) -> TLSError? {
        #expect(throws: TLSError.self) { try TLSContext(configuration: self.configuration(lists)) }
    }

    /// Returns whether the guest is revoked. A handshake and the check of an open connection must not differ in this.
    private func isRevoked(by lists: String) throws -> Bool {
        let open = try EnginePair(self.identities)
        try open.handshake()
        let chain = try #require(open.server.verifiedChain)
        let isCut = try RevocationLists(.pem(lists), of: self.identities.authority).contains(chain)
        let pair = try EnginePair(
            client: self.identities.clientConfiguration(), server: self.configuration(lists))
        try pair.handshake()
        #expect((pair.serverError != nil) == isCut, "\(pair.serverError.debugDescription)")
        return isCut
    }

    @Test(
        "A list that may be incomplete, or has unreadable parts, is rejected",
        arguments: [
            ("2.5.29.27 = critical,DER:020101", "delta"),
            // The same for one whose issuer forgot that it must be critical.
            ("2.5.29.27 = DER:020101", "delta"),
            ("issuingDistributionPoint = critical,@scope\n[scope]\nonlyuser = TRUE", "distribution point"),
            ("issuingDistributionPoint = critical,@scope\n[scope]\nindirectCRL = TRUE", "distribution point"),
            (
                "issuingDistributionPoint = critical,@scope\n[scope]\nonlysomereasons = keyCompromise",
                "distribution point"
            ),
            (
                "issuingDistributionPoint = critical,@scope\n[scope]\nfullname = URI:http://ca.test/1.crl",
                "distribution point"
            ),
            ("1.2.3.4.5 = critical,DER:0500", "critical extension"),
            ("2.5.29.20 = DER:0500", "cannot be read"),
        ])
    func incompleteList(extensions: String, reason: String) async throws {
        let error = try await self.refusal(self.list(extensions: extensions))
        #expect(error?.code == .revocationListRefused)
        #expect(error?.message.contains(reason) == true, "\(error.debugDescription)")
        // Also next to a good one.
        let both = try await self.list() + self.list(extensions: extensions)
        #expect(self.refusal(both)?.message.contains("list number 2, of CN=test authority") == true)
    }

    @Test("A list without nextUpdate is rejected when it is loaded")
    func noNextUpdate() throws {
        let authority = self.identities.authority
        let list = try authority.listWithoutEnd()
        let error = self.refusal(list)
        #expect(error?.code == .revocationListRefused)
        #expect(error?.message.contains("it has no nextUpdate") == true, "\(error.debugDescription)")
        // Also a list of an authority that is known only from the chains of peers.
        let other = try CertificateAuthority.create(commonName: "other", validity: .days(1))
        let unknown = try other.listWithoutEnd()
        #expect(
            self.refusal(try authority.revocationList(validity: .days(1)) + unknown)?.message.contains("nextUpdate")
                == true)
    }

    @Test("An unknown extension that is not critical is ignored")
    func nonCriticalExtension() async throws {
        #expect(try await !self.isRevoked(by: self.list(extensions: "1.2.3.4.5 = DER:0500")))
    }

    @Test("A list of the same name by another key is rejected even next to the true one")
    func forgedList() async throws {
        let namesake = try CertificateAuthority.create(commonName: "test authority", validity: .days(1))
        let forged = try await OpenSSLList.make(authority: namesake)
        #expect(try await self.refusal(self.list(ageInHours: 1) + forged)?.message.contains("not signed") == true)
    }

    @Test("The error names an authority that may not sign lists")
    func notAllowedToSign() async throws {
        let builder = try CertificateBuilder(commonName: "no lists", validity: .days(1))
        try builder.add(NID_basic_constraints, "critical,CA:TRUE")
        try builder.add(NID_key_usage, "critical,keyCertSign")
        try builder.add(NID_subject_key_identifier, "hash")
        let made = try builder.selfSigned()
        let authority = try CertificateAuthority(
            certificatePEM: made.certificatePEM, privateKeyPEM: made.privateKeyPEM)
        let list = try await OpenSSLList.make(authority: authority)
        let error = #expect(throws: TLSError.self) { try RevocationLists(.pem(list), of: authority) }
        #expect(error?.code == .revocationListRefused)
        #expect(error?.message.contains("CN=no lists") == true && error?.message.contains("cRLSign") == true)
    }

    // MARK: Several lists

    /// By number the first is newer than the third, by time the third than the second and the second than the first.
    @Test("Lists of one authority of which only some have a number are rejected")
    func mixedNumbers() async throws {
        let first = try await self.list(number: "02", ageInHours: 3)
        let second = try await self.list(revoking: self.serial, ageInHours: 2)
        let third = try await self.list(number: "01", ageInHours: 1)
        for lists in [first + second + third, third + second + first, second + first, first + second] {
            let error = self.refusal(lists)
            #expect(error?.code == .revocationListRefused)
            #expect(error?.message.contains("only one of them has a crlNumber") == true, "\(error.debugDescription)")
        }
        #expect(try !self.isRevoked(by: third + first))
        // Another authority may number its own as it likes.
        let other = try CertificateAuthority.create(commonName: "other", validity: .days(1))
        #expect(try await self.isRevoked(by: second + OpenSSLList.make(authority: other, number: "01")))
    }

    @Test("A list without a number does not replace a numbered one, nor the reverse")
    func mixedOverTime() async throws {
        let lists = try await [self.list(number: "02", ageInHours: 2), self.list(ageInHours: 1)]
        for (present, later) in [(lists[0], lists[1]), (lists[1], lists[0])] {
            let before = try TLSContext(configuration: self.configuration(present))
            let after = try TLSContext(configuration: self.configuration(later))
            let objection = #expect(throws: TLSContext.Objection.self) {
                try after.checkReplacement(of: before, now: Int64(time(nil)))
            }
            #expect(objection?.reason.contains("crlNumber") == true, "\(objection.debugDescription)")
        }
    }

    @Test("Of several lists the newest one counts, in any order")
    func newestListCounts() async throws {
        let held = try await self.list(revoking: self.serial, ageInHours: 2)
        let released = try await self.list(ageInHours: 1)
        #expect(try !self.isRevoked(by: held + released))
        #expect(try !self.isRevoked(by: released + held))
        let again = try await self.list(revoking: self.serial)
        #expect(try self.isRevoked(by: held + again + released))
        let lists = try RevocationLists(.pem(held + again + released), of: self.identities.authority)
        #expect(lists.lists.count == 1 && lists.count == 1 && lists.expiries.count == 1)
    }

    /// The authority's clock may have been wrong; its numbers are not.
    @Test("The number of a list takes precedence over its date")
    func numberBeforeDate() async throws {
        let first = try await self.list(number: "FF")
        let second = try await self.list(revoking: self.serial, number: "0100", ageInHours: 1)
        #expect(try self.isRevoked(by: first + second))
        #expect(try self.isRevoked(by: second + first))
    }
}
