// SPDX-License-Identifier: Apache-2.0

import CertificateIssuing
import ConductorRPC
import ConductorService
import Foundation
import GuestAgent
import GuestSpool
import LogTesting
import NIOCore
import Notifications
import Notifier
import RelayTesting
import TLSChannel
import Testing

/// An agent whose certificate files change, and one whose conductor is revoked.
@Suite(.timeLimit(.minutes(2))) struct CertificateRenewalTests {
    private let certificates: TestCertificates
    private let log = LogRecorder()

    init() throws {
        self.certificates = try TestCertificates()
    }

    private func agent(
        _ ports: [Int], list: String? = nil, outbox: any Outbox = MemoryOutbox()
    ) throws -> AgentRun {
        var configuration = GuestAgent.Configuration.test(ports: ports, certificates: self.certificates)
        configuration.crlFile = list.map { self.certificates.path($0) }
        configuration.reloadInterval = .milliseconds(20)
        return AgentRun(
            try GuestAgent(configuration: configuration, outbox: outbox, logger: self.log.logger),
            self.log.logger)
    }

    @Test("A new certificate of the same guest does not close the open connection")
    func renewalKeepsConnection() async throws {
        let driver = RejectingDriver()
        try await withConductor(Notifier(drivers: [driver]), certificates: self.certificates) { conductor in
            let run = try self.agent([conductor.port])
            await self.log.next("Connected to a conductor")
            // The conductor rejects this other authority: if the agent connected again, it would deliver nothing.
            let other = try CertificateAuthority.create(commonName: "other", validity: .days(1))
            try self.certificates.write("guest", TestCertificates.guest(of: other))
            await self.log.next("Reloaded certificates for new connections")
            try await run.agent.notify(.end(payload: [:]), context: SampleReport.context())
            await driver.published(1)
            #expect(self.log.count("Connected to a conductor") == 1)
            await run.abandoned()
        }
    }

    @Test("A guest delivers its waiting outcomes once it has a valid certificate")
    func validCertificateDelivers() async throws {
        let driver = RejectingDriver()
        let good = try TestCertificates.guest(of: self.certificates.authority)
        let other = try CertificateAuthority.create(commonName: "other", validity: .days(1))
        try self.certificates.write("guest", TestCertificates.guest(of: other))
        try await withConductor(Notifier(drivers: [driver]), certificates: self.certificates) { conductor in
            let run = try self.agent([conductor.port])
            try await run.agent.notify(.end(payload: [:]), context: SampleReport.context())
            // With TLS 1.3 the conductor's rejection comes after the handshake.
            await self.log.next("Connection ended")
            try self.certificates.write("guest", good)
            await driver.published(1)
            try await run.drained()
        }
    }

    @Test("Outcomes that wait under another guest's name are not sent with the new certificate")
    func anotherGuestsCertificate() async throws {
        let driver = RejectingDriver()
        let other = try CertificateAuthority.create(commonName: "other", validity: .days(1))
        let refused = try TestCertificates.guest(of: other, instance: "model")
        try self.certificates.write("guest", refused)
        let directory = FileManager.default.temporaryDirectory.appending(path: "spool-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let spool = try await Spool.open(directory, logger: self.log.logger)
        try await withConductor(Notifier(drivers: [driver]), certificates: self.certificates) { conductor in
            let run = try self.agent([conductor.port], outbox: spool)
            // An agent in an image that gets its own certificate at the first start.
            try await run.agent.notify(.end(payload: [:]), context: SampleReport.context())
            await self.log.next("Connection ended")
            try self.certificates.write("guest", TestCertificates.guest(of: self.certificates.authority))
            await self.log.next("Set aside the outcomes of another guest")
            try await run.agent.notify(.end(payload: [:]), context: SampleReport.context())
            await driver.published(1)
            try await run.drained()
            let counts = try await spool.counts()
            #expect((counts.delivered, counts.setAside, counts.waiting) == (1, 1, 0))
        }
        #expect(driver.counts.count == 1)
        try await spool.close()
    }

    @Test("A connection closes when the certificate names another guest, and the next one uses it")
    func connectionOfAnotherGuest() async throws {
        let driver = RejectingDriver()
        try await withConductor(Notifier(drivers: [driver]), certificates: self.certificates) { conductor in
            let run = try self.agent([conductor.port])
            await self.log.next("Connected to a conductor")
            let other = try TestCertificates.guest(of: self.certificates.authority, instance: "inst-2")
            try self.certificates.write("guest", other)
            await self.log.next("Closed the connection: the new certificate names another guest")
            var context = SampleReport.context()
            context.payload["instance_id"] = "inst-2"
            try await run.agent.notify(.end(payload: [:]), context: context)
            await driver.published(1)
            #expect(self.log.count("Connected to a conductor") == 2)
            try await run.drained()
        }
    }

    @Test("An agent changes to another conductor when the current one is revoked")
    func revokedConductor() async throws {
        let (held, driver) = (HeldDriver(), RejectingDriver())
        func conductorCertificate() throws -> IssuedCertificate {
            try self.certificates.authority.issueServer(
                commonName: "conductor", ipAddresses: ["127.0.0.1"], validity: .days(1))
        }
        try self.certificates.writeList()
        // Two certificates in turn under the same file name: each conductor reads the file once.
        try self.certificates.write("conductor", conductorCertificate())
        let heirTLS = LiveTLSContext(try self.certificates.server())
        let revokedCertificate = try conductorCertificate()
        try self.certificates.write("conductor", revokedCertificate)
        try await withConductor(Notifier(drivers: [held]), certificates: self.certificates) {
            // The requests that it holds will not be answered.
            $0.connection.drainTimeout = .milliseconds(10)
        } _: { revoked in
            try await withConductor(
                Notifier(drivers: [driver]), certificates: self.certificates, tls: heirTLS
            ) { heir in
                let run = try self.agent([revoked.port, heir.port], list: "ca.crl")
                try await run.agent.notify(.end(payload: [:]), context: SampleReport.context())
                await held.received(1)
                try self.certificates.writeList(revoking: [revokedCertificate])
                await driver.published(1)
                try await run.drained()
                #expect(try await run.agent.counts().delivered == 1)
            }
            held.release()
        }
    }

    @Test("An agent changes conductor when the current one's authority is removed from tls.ca")
    func removedAuthority() async throws {
        let (held, driver) = (HeldDriver(), RejectingDriver())
        let other = try CertificateAuthority.create(commonName: "other", validity: .days(1))
        func trust(_ authorities: CertificateAuthority...) throws {
            try Data(authorities.map(\.certificatePEM).joined().utf8).write(
                to: self.certificates.directory.appending(path: "ca.pem"), options: .atomic)
        }
        try trust(self.certificates.authority, other)
        let heirTLS = LiveTLSContext(try self.certificates.server())
        try self.certificates.write("conductor", TestCertificates.server(of: other))
        try await withConductor(Notifier(drivers: [held]), certificates: self.certificates) {
            // The requests that it holds will not be answered.
            $0.connection.drainTimeout = .milliseconds(10)
        } _: { removed in
            try await withConductor(
                Notifier(drivers: [driver]), certificates: self.certificates, tls: heirTLS
            ) { heir in
                let run = try self.agent([removed.port, heir.port])
                try await run.agent.notify(.end(payload: [:]), context: SampleReport.context())
                await held.received(1)
                try trust(self.certificates.authority)
                await driver.published(1)
                try await run.drained()
                #expect(try await run.agent.counts().delivered == 1)
            }
            held.release()
        }
    }

    @Test("A conductor of another authority or with another name receives no outcome")
    func untrustedConductor() async throws {
        let driver = TestDriver()
        let other = try TestCertificates()
        let elsewhere = try self.certificates.authority.issueServer(
            commonName: "conductor", dnsNames: ["elsewhere.example"], validity: .days(1))
        for (reason, identity) in [
            ("authority is unknown", try TestCertificates.server(of: other.authority)), ("mismatch", elsewhere),
        ] {
            try self.certificates.write("conductor", identity)
            try await withConductor(Notifier(drivers: [driver]), certificates: self.certificates) { conductor in
                let run = try self.agent([conductor.port])
                try await run.agent.notify(.end(payload: [:]), context: SampleReport.context())
                let refusal = await self.log.next("Failed to connect to a conductor")
                #expect(refusal.metadata["error"]?.contains(reason) == true, "\(refusal)")
                await run.abandoned()
                #expect(try await run.agent.counts().waiting == 1)
            }
        }
        #expect(driver.notifications.isEmpty)
    }
}
