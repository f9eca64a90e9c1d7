// SPDX-License-Identifier: Apache-2.0

import CertificateIssuing
import ConductorService
import Foundation
import LogTesting
import Logging
import Notifier
import RelayTesting
import TLSChannel
import Testing

/// New files that are too early or too old for those that they replace: real files, real clocks, real connections.
@Suite(.timeLimit(.minutes(2))) struct CertificateValidityTests {
    private let certificates: TestCertificates
    private let revoked: IssuedCertificate

    init() throws {
        (self.certificates, self.revoked) = try TestCertificates.withRevocableGuest()
    }

    private var now: Int64 { Int64(Date().timeIntervalSince1970) }

    private func write(list: String) throws {
        try Data(list.utf8).write(to: self.certificates.directory.appending(path: "ca.crl"), options: .atomic)
    }

    @Test("A revocation list that is not valid yet is loaded when it becomes valid")
    func futureList() async throws {
        try await LiveConductor.with(
            Notifier(drivers: [TestDriver()]), certificates: self.certificates, list: "ca.crl", gracePeriod: .zero
        ) { conductor in
            try self.certificates.writeList(
                revoking: [self.revoked], validity: .init(notBefore: self.now + 6, notAfter: self.now + 3600))
            let refusal = await conductor.log.next(LiveConductor.refused)
            #expect(refusal.metadata["reason"]?.contains("NOT YET VALID") == true)
            #expect(await conductor.answers())
            // The file does not change.
            await conductor.log.next(LiveConductor.inUse)
            #expect(await conductor.answers())
            #expect(await !conductor.answers("revoked"))
        }
    }

    @Test("A certificate that is not valid yet is loaded when it becomes valid")
    func futureCertificate() async throws {
        try await LiveConductor.with(
            Notifier(drivers: [TestDriver()]), certificates: self.certificates, gracePeriod: .zero
        ) { conductor in
            try self.certificates.write(
                "conductor",
                TestCertificates.server(
                    of: self.certificates.authority, name: "early",
                    validity: .init(notBefore: self.now + 6, notAfter: self.now + 3600)))
            while await !conductor.log.next(LiveConductor.refused).description.contains("NOT YET VALID") {}
            #expect(await conductor.answers())
            await conductor.log.next(LiveConductor.inUse)
            #expect(conductor.running.tls.current.certificate.commonName == "early")
            #expect(await conductor.answers())
        }
    }

    @Test("A list that is not valid yet at the start is logged, and a valid one replaces it")
    func futureListAtStart() async throws {
        try self.certificates.writeList(validity: .init(notBefore: self.now + 3600, notAfter: self.now + 7200))
        try await LiveConductor.with(
            Notifier(drivers: [TestDriver()]), certificates: self.certificates, list: "ca.crl"
        ) { conductor in
            let warning = await conductor.log.next("Not valid yet")
            #expect(warning.level == .warning && warning.message.contains("revocation list CN=Test authority"))
            // A better list replaces it.
            try self.certificates.writeList()
            await conductor.log.next(LiveConductor.inUse)
            #expect(await conductor.answers())
        }
    }

    @Test("An older list does not undo the revocations of a newer one")
    func olderList() async throws {
        let authority = self.certificates.authority
        let first = try authority.revocationList(validity: .days(1))
        let second = try authority.revocationList(
            revoking: [self.revoked.certificatePEM], after: first, validity: .days(1))
        try self.write(list: second)
        func serve(_ body: (LiveConductor) async throws -> Void) async throws {
            try await LiveConductor.with(
                Notifier(drivers: [TestDriver()]), certificates: self.certificates, list: "ca.crl", gracePeriod: .zero,
                body)
        }
        try await serve { conductor in
            try self.write(list: first)
            let refusal = await conductor.log.next(LiveConductor.refused)
            #expect(refusal.metadata["reason"]?.contains("is older than the list in use") == true)
            #expect(await !conductor.answers("revoked"))
            #expect(await conductor.answers())
            try self.write(list: authority.revocationList(after: second, validity: .days(1)))
            await conductor.log.next(LiveConductor.inUse)
            #expect(await !conductor.answers("revoked"))
            try self.write(list: first)
            await conductor.log.next(LiveConductor.refused)
        }
        // A restart accepts the older list.
        try await serve { conductor in #expect(await conductor.answers("revoked")) }
    }

    /// An authority that has changed its key keeps its name; the old key's list has expired, which is allowed.
    @Test("An expired list is rejected even if an expired list of another key is in use")
    func expiredListOfOldKey() async throws {
        let old = try CertificateAuthority.create(commonName: "Test authority", validity: .days(1))
        let past = CertificateValidity(notBefore: 0, notAfter: 86_400)
        let authority = self.certificates.authority
        try Data((authority.certificatePEM + old.certificatePEM).utf8).write(
            to: self.certificates.directory.appending(path: "ca.pem"), options: .atomic)
        let olds = try old.revocationList(validity: past)
        try self.write(list: olds + authority.revocationList(validity: .days(1)))
        try await LiveConductor.with(
            Notifier(drivers: [TestDriver()]), certificates: self.certificates, list: "ca.crl", gracePeriod: .zero
        ) { conductor in
            #expect(await conductor.answers())
            try self.write(list: olds + authority.revocationList(validity: past))
            let refusal = await conductor.log.next(LiveConductor.refused)
            #expect(refusal.metadata["reason"]?.contains("EXPIRED 1970-01-02T00:00:00Z") == true)
            #expect(await conductor.answers())
        }
    }
}
