// SPDX-License-Identifier: Apache-2.0

import CertificateIssuing
import ConductorService
import Foundation
import LogTesting
import Notifier
import RelayTesting
import TLSChannel
import Testing

/// A file that cannot be used does not keep a revoked guest connected: real files, real clocks, real connections.
@Suite(.timeLimit(.minutes(2))) struct RevocationWithDamagedFilesTests {
    private let certificates: TestCertificates
    private let revoked: IssuedCertificate

    init() throws {
        (self.certificates, self.revoked) = try TestCertificates.withRevocableGuest()
    }

    /// Writes in one step: no state in between is seen.
    private func write(_ text: String, to name: String) throws {
        try Data(text.utf8).write(to: self.certificates.directory.appending(path: name), options: .atomic)
    }

    /// The files after a renewal that has failed.
    enum Damage: CaseIterable {
        case keyOpenToAll, keyOfAnother, noKey, noCertificate
    }

    private func damage(_ damage: Damage) throws {
        let key = self.certificates.path("conductor.key")
        switch damage {
        case .keyOpenToAll:
            try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: key)
        case .keyOfAnother:
            try self.certificates.write("another", TestCertificates.server(of: self.certificates.authority))
            try #require(rename(self.certificates.path("another.key"), key) == 0)
        case .noKey: try FileManager.default.removeItem(atPath: key)
        case .noCertificate: try self.write("nonsense", to: "conductor.pem")
        }
    }

    @Test("A revocation takes effect while the conductor's own files are unusable", arguments: Damage.allCases)
    func revocationBesideBadFiles(_ damage: Damage) async throws {
        try await LiveConductor.with(
            Notifier(drivers: [TestDriver()]), certificates: self.certificates, list: "ca.crl", interval: .seconds(1),
            gracePeriod: .zero
        ) { conductor in
            try await RawGuest.with(conductor.running, certificate: "revoked") { guest in
                _ = try await guest.call(LiveConductor.ping)
                try self.damage(damage)
                let refusal = await conductor.log.next(LiveConductor.refused)
                #expect(refusal.message.contains("revocation lists are up to date"))
                let clock = ContinuousClock()
                let written = clock.now
                try self.certificates.writeList(revoking: [self.revoked])
                #expect(try await guest.line() == nil)
                #expect(clock.now - written < .seconds(5))
            }
            await conductor.log.next(LiveConductor.inPart)
            #expect(await !conductor.answers("revoked"))
            #expect(await conductor.answers())
            // The problem still exists, and was logged once.
            #expect(conductor.running.tls.status.problem != nil)
            #expect(conductor.log.count(LiveConductor.refused) == 1)

            try self.certificates.write(
                "conductor", TestCertificates.server(of: self.certificates.authority, name: "renewed"))
            await conductor.log.next(LiveConductor.inUse)
            #expect(conductor.running.tls.status.problem == nil)
            #expect(conductor.running.tls.current.certificate.commonName == "renewed")
            #expect(await !conductor.answers("revoked"))
            #expect(await conductor.answers())
        }
    }

    @Test("Authorities that cannot be read are not called up to date, and a revocation takes effect")
    func damagedAuthorities() async throws {
        try await LiveConductor.with(
            Notifier(drivers: [TestDriver()]), certificates: self.certificates, list: "ca.crl", interval: .seconds(1),
            gracePeriod: .zero
        ) { conductor in
            try await RawGuest.with(conductor.running, certificate: "revoked") { guest in
                _ = try await guest.call(LiveConductor.ping)
                try self.write("nonsense", to: "ca.pem")
                let refusal = await conductor.log.next(LiveConductor.refused)
                #expect(refusal.message.contains("certificate, key and authorities that were read before stay in use"))
                #expect(refusal.message.contains("revocation lists are up to date"))
                try self.certificates.writeList(revoking: [self.revoked])
                #expect(try await guest.line() == nil)
            }
            await conductor.log.next(LiveConductor.inPart)
        }
    }

    /// The files are in the middle of a change for longer than a revoked connection may stay open: nothing is logged
    /// yet, but the revocation takes effect.
    @Test("A revocation does not wait for the certificate of a new key")
    func revocationBeforeRenewal() async throws {
        try await LiveConductor.with(
            Notifier(drivers: [TestDriver()]), certificates: self.certificates, list: "ca.crl",
            gracePeriod: .seconds(60)
        ) { conductor in
            try await RawGuest.with(conductor.running, certificate: "revoked") { guest in
                _ = try await guest.call(LiveConductor.ping)
                try self.damage(.keyOfAnother)
                try self.certificates.writeList(revoking: [self.revoked])
                #expect(try await guest.line() == nil)
            }
            #expect(conductor.log.count(LiveConductor.refused) == 0)
        }
    }

    /// Neither the mode of the authorities nor that of the list itself delays a revocation.
    @Test("A wrong file mode does not delay a revocation")
    func wrongFileMode() async throws {
        func setMode(_ mode: Int, of name: String) throws {
            try FileManager.default.setAttributes(
                [.posixPermissions: mode], ofItemAtPath: self.certificates.path(name))
        }
        try await LiveConductor.with(
            Notifier(drivers: [TestDriver()]), certificates: self.certificates, list: "ca.crl", gracePeriod: .zero
        ) { conductor in
            try await RawGuest.with(conductor.running, certificate: "revoked") { guest in
                _ = try await guest.call(LiveConductor.ping)
                try setMode(0o664, of: "ca.pem")
                await conductor.log.next(LiveConductor.refused)
                try self.certificates.writeList("new", revoking: [self.revoked])
                try setMode(0o664, of: "new.crl")
                try #require(rename(self.certificates.path("new.crl"), self.certificates.path("ca.crl")) == 0)
                #expect(try await guest.line() == nil)
            }
            // The guests of this test read the same file.
            try setMode(0o644, of: "ca.pem")
            #expect(await !conductor.answers("revoked"))
            #expect(await conductor.answers())
        }
    }

    @Test("The revocation lists are used while the authorities cannot be read")
    func listsWithoutAuthorities() async throws {
        try await LiveConductor.with(
            Notifier(drivers: [TestDriver()]), certificates: self.certificates, list: "ca.crl", gracePeriod: .zero
        ) { conductor in
            try await RawGuest.with(conductor.running, certificate: "revoked") { guest in
                _ = try await guest.call(LiveConductor.ping)
                try self.write("nonsense", to: "ca.pem")
                await conductor.log.next(LiveConductor.refused)
                try self.certificates.writeList(revoking: [self.revoked])
                #expect(try await guest.line() == nil)
            }
        }
    }

    @Test("A removed authority is no longer trusted, even while the key is unusable")
    func removedAuthority() async throws {
        let other = try CertificateAuthority.create(commonName: "Other authority", validity: .days(1))
        try self.certificates.write("foreign", TestCertificates.guest(of: other))
        let own = self.certificates.authority.certificatePEM
        try self.write(own + other.certificatePEM, to: "ca.pem")
        try await LiveConductor.with(
            Notifier(drivers: [TestDriver()]), certificates: self.certificates, gracePeriod: .zero
        ) { conductor in
            #expect(await conductor.answers("foreign"))
            try self.damage(.keyOpenToAll)
            await conductor.log.next(LiveConductor.refused)
            try self.write(own, to: "ca.pem")
            await conductor.log.next(LiveConductor.inPart)
            #expect(await !conductor.answers("foreign"))
            #expect(await conductor.answers())
        }
    }

    @Test("The error for a bad list says that later revocations are unknown")
    func badRevocationList() async throws {
        try await LiveConductor.with(
            Notifier(drivers: [TestDriver()]), certificates: self.certificates, list: "ca.crl", gracePeriod: .zero
        ) { conductor in
            try self.write("nonsense", to: "ca.crl")
            let refusal = await conductor.log.next(LiveConductor.refused)
            #expect(refusal.message.contains("later revocations are unknown"))
            #expect(await conductor.answers())
        }
    }
}
