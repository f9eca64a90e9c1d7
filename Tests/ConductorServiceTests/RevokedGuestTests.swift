// SPDX-License-Identifier: Apache-2.0

import CertificateIssuing
import ConductorService
import Foundation
import LogTesting
import Notifications
import Notifier
import RelayTesting
import TLSChannel
import Testing

/// Guests whose certificates are revoked, before they connect and after.
@Suite(.timeLimit(.minutes(2))) struct RevokedGuestTests {
    private let certificates: TestCertificates
    private let revoked: IssuedCertificate

    init() throws {
        (self.certificates, self.revoked) = try TestCertificates.withRevocableGuest()
    }

    /// The guarantee is five seconds at the default interval, and this test measures it.
    @Test("A revoked connection is closed within five seconds, and its accepted outcome published")
    func revokedOpenConnection() async throws {
        let driver = HeldDriver()
        try await LiveConductor.with(
            Notifier(drivers: [driver]), certificates: self.certificates, list: "ca.crl", interval: .seconds(1)
        ) { conductor in
            try await RawGuest.with(conductor.running) { good in
                _ = try await good.call(LiveConductor.ping)
                try await RawGuest.with(conductor.running, certificate: "revoked") { guest in
                    try await guest.send(line: SampleReport.line(id: 7))
                    await driver.received(1)
                    #expect(conductor.running.tls.status.openConnections == 2)
                    let clock = ContinuousClock()
                    let written = clock.now
                    try self.certificates.writeList(revoking: [self.revoked])
                    #expect(try await guest.line() == nil)
                    #expect(clock.now - written < .seconds(5))
                }
                await conductor.log.next("Closed connections: their peers' certificates are revoked")
                #expect(conductor.running.tls.status.cutConnections == 1)
                // The outcome was accepted: it is published although its guest is disconnected.
                driver.release()
                #expect(conductor.running.counters.published == 1)
                #expect(try await good.call(LiveConductor.ping).contains(#""result""#))
            }
            #expect(await !conductor.answers("revoked"))
            #expect(await conductor.answers())
        }
    }

    @Test("A revoked guest gets the reason as a TLS alert")
    func revocationReason() async throws {
        try self.certificates.writeList(revoking: [self.revoked])
        try await LiveConductor.with(
            Notifier(drivers: [TestDriver()]), certificates: self.certificates, list: "ca.crl"
        ) { conductor in
            let error = await #expect(throws: TLSError.self) {
                try await RawGuest.with(conductor.running, certificate: "revoked") { guest in
                    _ = try await guest.line()
                }
            }
            #expect(error?.code == .refusedByPeer)
            #expect(error?.message.contains("certificate revoked") == true)
        }
    }

    /// The conductor fails closed, by the real clock, and recovers with a new list.
    @Test("With an expired revocation list, no new connection is accepted until there is a new list")
    func expiredRevocationList() async throws {
        let now = Int64(Date().timeIntervalSince1970)
        try self.certificates.writeList(validity: .init(notBefore: now - 1, notAfter: now + 8))
        try await LiveConductor.with(
            Notifier(drivers: [TestDriver()]), certificates: self.certificates, list: "ca.crl"
        ) { conductor in
            try await RawGuest.with(conductor.running) { open in
                _ = try await open.call(LiveConductor.ping)
                let over = await conductor.log.next("Expired")
                #expect(over.message.contains("revocation list CN=Test authority"))
                #expect(await !conductor.answers())
                // Open connections are not closed for lack of a list.
                #expect(try await open.call(LiveConductor.ping).contains(#""result""#))
            }
            try self.certificates.writeList()
            await conductor.log.next(LiveConductor.inUse)
            #expect(await conductor.answers())
        }
    }
}
