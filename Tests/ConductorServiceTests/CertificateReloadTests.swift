// SPDX-License-Identifier: Apache-2.0

import CertificateIssuing
import Foundation
import LogTesting
import Logging
import Notifier
import RelayTesting
import TLSChannel
import Testing

/// Certificates that change while a conductor runs: real files, real clocks, real connections.
@Suite(.timeLimit(.minutes(2))) struct CertificateReloadTests {
    private let certificates: TestCertificates

    init() throws {
        self.certificates = try TestCertificates()
        try self.certificates.writeList()
    }

    private func server(_ name: String, _ validity: CertificateValidity = .days(1)) throws -> IssuedCertificate {
        try TestCertificates.server(of: self.certificates.authority, name: name, validity: validity)
    }

    private func write(_ text: String, to name: String) throws {
        try Data(text.utf8).write(to: self.certificates.directory.appending(path: name))
    }

    private func shown(to guest: RawGuest) async throws -> String? {
        try await guest.conductorCertificate()?.commonName
    }

    @Test("New connections get a renewed certificate, and open ones keep theirs")
    func renewedCertificate() async throws {
        try await LiveConductor.with(Notifier(drivers: [TestDriver()]), certificates: self.certificates) { conductor in
            try await RawGuest.with(conductor.running) { old in
                _ = try await old.call(LiveConductor.ping)
                try self.certificates.write("conductor", self.server("renewed"))
                await conductor.log.next(LiveConductor.inUse)
                try await RawGuest.with(conductor.running) { new in
                    _ = try await new.call(LiveConductor.ping)
                    #expect(try await self.shown(to: new) == "renewed")
                }
                #expect(try await old.call(LiveConductor.ping).contains(#""result""#))
                #expect(try await self.shown(to: old) == "conductor")
            }
            // Certificate and key are two files: the state between their changes was not logged.
            #expect(conductor.log.count(LiveConductor.refused) == 0)
            #expect(conductor.running.tls.status.replacements == 1)
        }
    }

    @Test("A certificate that does not match its key is logged, and the last valid pair stays in use")
    func mismatchedKey() async throws {
        try await LiveConductor.with(
            Notifier(drivers: [TestDriver()]), certificates: self.certificates, gracePeriod: .milliseconds(100)
        ) { conductor in
            let renewed = try self.server("renewed")
            try self.write(renewed.certificatePEM, to: "conductor.pem")
            let refusal = await conductor.log.next(LiveConductor.refused)
            #expect(refusal.level == .error)
            #expect(refusal.metadata["reason"]?.contains("does not belong") == true)
            #expect(refusal.metadata["reason"]?.contains(self.certificates.path("conductor.key")) == true)
            #expect(conductor.running.tls.status.problem?.contains("does not belong") == true)
            #expect(await conductor.answers())
            try self.write(renewed.privateKeyPEM, to: "conductor.key")
            await conductor.log.next(LiveConductor.inUse)
            #expect(conductor.running.tls.status.problem == nil)
            #expect(conductor.running.tls.current.certificate.commonName == "renewed")
            #expect(await conductor.answers())
        }
    }

    @Test(
        "The log names a file that is damaged or missing",
        arguments: ["conductor.pem", "conductor.key", "ca.pem", "ca.crl"])
    func damagedOrMissingFile(file: String) async throws {
        try await LiveConductor.with(
            Notifier(drivers: [TestDriver()]), certificates: self.certificates, list: "ca.crl", gracePeriod: .zero
        ) { conductor in
            let url = self.certificates.directory.appending(path: file)
            let good = try Data(contentsOf: url)
            try Data("nonsense".utf8).write(to: url)
            let damaged = await conductor.log.next(LiveConductor.refused)
            #expect(damaged.metadata["reason"]?.contains(url.path) == true)
            try FileManager.default.removeItem(at: url)
            let gone = await conductor.log.next(LiveConductor.refused)
            #expect(gone.metadata["reason"]?.contains("\(url.path)) does not exist") == true)
            // This test's guests read the authority's file as well.
            if file != "ca.pem" { #expect(await conductor.answers()) }
            try good.write(to: url)
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: url.path)
            await conductor.log.next("The certificate files are usable again")
            #expect(conductor.running.tls.status.problem == nil)
        }
    }

    @Test("A reload rejects a key that other users may read")
    func exposedKey() async throws {
        try await LiveConductor.with(
            Notifier(drivers: [TestDriver()]), certificates: self.certificates, gracePeriod: .zero
        ) { conductor in
            let key = self.certificates.path("conductor.key")
            try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: key)
            let refusal = await conductor.log.next(LiveConductor.refused)
            #expect(refusal.metadata["reason"]?.contains("chmod") == true)
            #expect(await conductor.answers())
        }
    }

    @Test("A symbolic link that is changed to another directory is a change")
    func replacedLink() async throws {
        let files = FileManager.default
        let names = ["conductor.pem", "conductor.key", "ca.pem", "ca.crl"]
        // As in a volume of Kubernetes: each name is a link to one in ..data, which is a link to a directory.
        func directory(_ name: String) throws -> URL {
            let url = self.certificates.directory.appending(path: name)
            try files.createDirectory(at: url, withIntermediateDirectories: true)
            return url
        }
        let (first, second) = (try directory("..1"), try directory("..2"))
        for name in names {
            try files.moveItem(atPath: self.certificates.path(name), toPath: first.appending(path: name).path)
            try files.copyItem(at: first.appending(path: name), to: second.appending(path: name))
            try files.createSymbolicLink(
                atPath: self.certificates.path(name), withDestinationPath: "..data/\(name)")
        }
        func turn(to target: String) throws {
            try files.createSymbolicLink(atPath: self.certificates.path("..new"), withDestinationPath: target)
            try #require(rename(self.certificates.path("..new"), self.certificates.path("..data")) == 0)
        }
        try turn(to: "..1")
        try await LiveConductor.with(
            Notifier(drivers: [TestDriver()]), certificates: self.certificates, list: "ca.crl"
        ) { conductor in
            let renewed = try self.server("renewed")
            try Data(renewed.certificatePEM.utf8).write(to: second.appending(path: "conductor.pem"))
            try Data(renewed.privateKeyPEM.utf8).write(to: second.appending(path: "conductor.key"))
            try turn(to: "..2")
            await conductor.log.next(LiveConductor.inUse)
            #expect(conductor.running.tls.current.certificate.commonName == "renewed")
            #expect(await conductor.answers())
            #expect(conductor.log.count(LiveConductor.refused) == 0)
        }
    }

    @Test("An authority is replaced through a bundle of the old and the new one")
    func authorityBundle() async throws {
        let next = try CertificateAuthority.create(commonName: "Next authority", validity: .days(1))
        try self.certificates.write("late", TestCertificates.guest(of: next))
        try await LiveConductor.with(Notifier(drivers: [TestDriver()]), certificates: self.certificates) { conductor in
            let first = self.certificates.authority.certificatePEM
            #expect(await conductor.answers("guest"))
            #expect(await !conductor.answers("late"))
            try self.write(first + next.certificatePEM, to: "ca.pem")
            await conductor.log.next(LiveConductor.inUse)
            #expect(await conductor.answers("guest"))
            #expect(await conductor.answers("late"))
            // Guests trust the same file here, so the conductor's own certificate changes its authority too.
            try self.certificates.write("conductor", TestCertificates.server(of: next))
            await conductor.log.next(LiveConductor.inUse)
            #expect(await conductor.answers("guest"))
            try self.write(next.certificatePEM, to: "ca.pem")
            await conductor.log.next(LiveConductor.inUse)
            #expect(await !conductor.answers("guest"))
            #expect(await conductor.answers("late"))
        }
    }

    @Test("A requested reload is logged at once, whether or not the files changed")
    func requestedReload() async throws {
        try await LiveConductor.with(Notifier(drivers: [TestDriver()]), certificates: self.certificates) { conductor in
            await conductor.reloader.reload()
            #expect(conductor.log.count("Reread the certificate files") == 1)
            try self.write("nonsense", to: "conductor.pem")
            await conductor.reloader.reload()
            // At once, whatever the grace period is.
            #expect(conductor.log.count(LiveConductor.refused) >= 1)
        }
    }

    @Test("The expiry of a certificate is logged before and after it")
    func expiringCertificate() async throws {
        let now = Int64(Date().timeIntervalSince1970)
        try self.certificates.write("conductor", self.server("brief", .init(notBefore: now - 1, notAfter: now + 10)))
        try await LiveConductor.with(Notifier(drivers: [TestDriver()]), certificates: self.certificates) { conductor in
            let soon = await conductor.log.next("Expires soon")
            #expect(soon.level == .warning && soon.message.contains("certificate CN=brief"))
            let over = await conductor.log.next("Expired")
            #expect(over.level == .error && over.message.contains(self.certificates.path("conductor.pem")))
            #expect(conductor.running.tls.status.expiries.first?.notAfter == now + 10)
            // Guests reject the certificate; the conductor continues to run, and loads the renewed one.
            #expect(await !conductor.answers())
            try self.certificates.write("conductor", self.server("renewed"))
            await conductor.log.next(LiveConductor.inUse)
            #expect(await conductor.answers())
        }
    }

    @Test("An expired revocation list does not replace a valid one")
    func expiredList() async throws {
        let past = CertificateValidity(notBefore: 0, notAfter: 86_400)
        try await LiveConductor.with(
            Notifier(drivers: [TestDriver()]), certificates: self.certificates, list: "ca.crl", gracePeriod: .zero
        ) { conductor in
            try self.certificates.writeList(validity: past)
            let refusal = await conductor.log.next(LiveConductor.refused)
            #expect(refusal.metadata["reason"]?.contains("EXPIRED 1970-01-02T00:00:00Z") == true)
            #expect(await conductor.answers())
        }
    }
}
