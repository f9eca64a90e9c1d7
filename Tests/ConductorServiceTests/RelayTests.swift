// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import ConductorService
import LogTesting
import Logging
import Notifications
import Notifier
import RelayTesting
import TLSChannel
import Testing

/// The relay alone: the results of calls, and their answers.
@Suite struct RelayTests {
    private static let certificate = PeerCertificate(
        commonName: "inst-1", uris: ["spiffe://conductor.test/instance/inst-1"], dnsNames: [], serialNumber: "01",
        notBefore: 0, notAfter: .max, sha256: "")

    private func answer(
        _ call: RPCCall, driver: any NotificationDriver = TestDriver(), authenticated: Bool = true,
        catalogues: Catalogues = .builtIn, logger: Logger = Logger(label: "test")
    ) async throws -> RPCResult {
        try await self.answer(
            call, from: self.relay(driver, catalogues: catalogues, logger: logger), authenticated: authenticated)
    }

    private func relay(
        _ driver: any NotificationDriver, catalogues: Catalogues = .builtIn, logger: Logger = Logger(label: "test")
    ) -> Relay {
        Relay(
            notifier: Notifier(drivers: [driver]), catalogues: catalogues, publisherID: "conductor.control-1",
            logger: logger)
    }

    private func answer(_ call: RPCCall, from relay: Relay, authenticated: Bool = true) async throws -> RPCResult {
        let peer = RPCPeer(
            certificate: authenticated ? Self.certificate : nil, remoteAddress: "192.0.2.9:5",
            localAddress: "192.0.2.1:8790")
        return await withCheckedContinuation { continuation in
            relay.handle(call, from: peer) { continuation.resume(returning: $0) }
        }
    }

    @Test(
        "A guest's answer says which driver failed, but not why",
        arguments: [
            (
                "log",
                "The conductor's log driver cannot write the notification to standard output; send it again later."
            ),
            ("messagingv2", "The broker has not confirmed the notification; send it again later."),
            ("shop", "The conductor's driver \"shop\" cannot accept the notification; send it again later."),
        ])
    func failingDriver(driver: String, message: String) async throws {
        struct Failing: NotificationDriver {
            let name: String

            func emit(
                _ notification: NotificationMessage, completion: @escaping @Sendable (Result<Void, DriverError>) -> Void
            ) {
                completion(.failure(DriverError(.unavailable, driver: self.name, reason: "a secret place is full")))
            }
        }
        let answer = try await self.answer(.notify(SampleReport.end()), driver: Failing(name: driver))
        #expect(answer.failure?.code == .brokerUnavailable && answer.failure?.message == message)
    }

    @Test("A guest's report is published with the conductor as publisher and server")
    func publishedReport() async throws {
        let driver = TestDriver()
        let report = SampleReport.end()
        let answer = try await self.answer(.notify(report), driver: driver)
        #expect(answer == .success(.accepted(report.messageID, .published)))
        let notification = try #require(driver.notifications.first)
        #expect(driver.notifications.count == 1)
        #expect(notification.messageID == report.messageID)
        #expect(notification.publisherID == "conductor.control-1")
        #expect(notification.timestamp == report.timestamp)
        #expect(notification.payload["server_ip"] == "192.0.2.1:8790")
        #expect(notification.payload["server_type"] == "conductor")
        #expect(notification.context["request_id"] == "req-1")
    }

    /// A guest's report has its sender for the driver; nothing of the sender is published.
    @Test("A driver gets the name and the key of the guest that reported")
    func senderOfReport() async throws {
        let driver = TestDriver()
        var report = SampleReport.end()
        report.context.payload["password"] = "hunter2"
        let relay = self.relay(driver)
        let peer = RPCPeer(
            certificate: Self.certificate, identity: relay.identity(of: Self.certificate),
            remoteAddress: "192.0.2.9:5", localAddress: "192.0.2.1:8790")
        relay.handle(.notify(report), from: peer) { _ in }
        let notification = try #require(driver.notifications.first)
        #expect(notification.sender?.name == "inst-1")
        #expect(notification.sender?.key == peer.identity.bits)
    }

    @Test("A report that the driver rate-limits is answered with a time to retry after")
    func driverRateLimit() async throws {
        let driver = HeldDriver()
        let relay = self.relay(driver)
        async let answer = self.answer(.notify(SampleReport.end()), from: relay)
        await driver.received(1)
        driver.release(.failure(DriverError(.rateLimited, driver: "messagingv2", reason: "full")))
        guard case .failure(let error) = try await answer else {
            Issue.record("it was taken")
            return
        }
        #expect(error.code == .rateLimited)
        #expect(error.code.isRetryable)
        #expect(error.retryAfterMilliseconds == 1000)
    }

    /// Identifiers have at most 255 bytes of UTF-8: a tenant is published four times, and a letter takes up to seven bytes.
    @Test(
        "An identifier of more than 255 bytes is rejected",
        arguments: [
            "request_id", "tenant_id", "user_id", "client_ip", "server_ip", "server_type",
            "request_context.user_domain",
            "request_context.project_domain", "request_context.global_request_id",
        ])
    func identifierLength(name: String) async throws {
        func report(_ text: String) throws -> OutcomeReport {
            var report = SampleReport.end()
            var object = report.context.json
            if let key = name.split(separator: ".").dropFirst().first.map(String.init) {
                object["request_context"] = .object([key: .string(text)])
            } else {
                object[name] = .string(text)
            }
            report.context = try NotificationContext(object)
            return report
        }
        let longest = String(repeating: "é", count: 127) + "x"
        let fits = try report(longest)
        #expect(try await self.answer(.notify(fits)) == .success(.accepted(fits.messageID, .published)))
        guard case .failure(let error) = try await self.answer(.notify(report(longest + "x"))) else {
            Issue.record("\(name) of 256 bytes was taken")
            return
        }
        #expect(error.code == .invalidParameters)
        #expect(error.field == "params.context.\(name)")
        #expect(error.message.contains("at most 255 bytes"))
    }

    @Test("An operation that is not in a catalogue is rejected")
    func unknownOperation() async throws {
        var report = SampleReport.end()
        report.context.operation = "trove.common.notification.DBaaSInstanceCreate"
        guard case .failure(let error) = try await self.answer(.notify(report)) else {
            Issue.record("it was taken")
            return
        }
        #expect(error.code == .unknownEvent)
        #expect(error.field == "params.context.operation")
    }

    @Test("The error for a missing field names the field")
    func missingField() async throws {
        var report = SampleReport.end()
        report.context.operation = "backup_create"
        guard case .failure(let error) = try await self.answer(.notify(report)) else {
            Issue.record("it was taken")
            return
        }
        #expect(error.code == .invalidParameters)
        #expect(error.field == "params.payload.backup_id")
    }

    @Test("Fields that the event does not declare are left out and counted")
    func undeclaredReportFields() async throws {
        let driver = TestDriver()
        let relay = self.relay(driver)
        var report = SampleReport.end()
        report.outcome = .end(payload: ["colour": "red", "size": 3])
        report.context.payload["shape"] = "round"
        let answer = try await self.answer(.notify(report), from: relay)
        #expect(answer == .success(.accepted(report.messageID, .published)))
        let payload = try #require(driver.notifications.first?.payload)
        #expect(Set(payload.members.map(\.name)).isDisjoint(with: ["colour", "size", "shape"]))
        #expect(relay.counters.undeclaredFields == ["dbaas.database_create": 3])
    }

    @Test("The names of a guest's fields neither fill the log nor begin a line in it")
    func fieldNamesInLog() async throws {
        let log = LogRecorder()
        var report = SampleReport.end()
        let long = "e" + String(repeating: "\u{301}", count: 100_000)
        report.outcome = .end(payload: ["a\nb\u{2028}\"c\u{202E}\u{1B}": 1, long: 2])
        _ = try await self.answer(.notify(report), logger: log.logger("conductor"))
        #expect(log.text.contains(#""a\nb\u{2028}\"c\u{202E}\u{1B}""#), "\(log.text.prefix(2000))")
        #expect(log.text.utf8.count < 2000)
        #expect(!log.text.contains { $0.isNewline })
    }

    @Test("An outcome whose event is switched off is answered as disabled")
    func disabledEvent() async throws {
        let driver = TestDriver()
        let quiet = try Catalogues([.dbaas], switchedOff: ["dbaas.database_create.end"])
        let relay = self.relay(driver, catalogues: quiet)
        let report = SampleReport.end()
        let answer = try await self.answer(.notify(report), from: relay)
        #expect(answer == .success(.accepted(report.messageID, .disabled)))
        #expect(driver.notifications.isEmpty)
        #expect(relay.counters.disabled == 1)
        // An invalid report is rejected, whether or not its event is switched off.
        var wrong = report
        wrong.context.payload = ["instance_id": [:], "dbname": "shop"]
        guard case .failure(let error) = try await self.answer(.notify(wrong), driver: driver, catalogues: quiet)
        else {
            Issue.record("it was taken")
            return
        }
        #expect(error.field == "params.context.payload.instance_id")
    }

    @Test("A peer without a certificate is rejected")
    func peerWithoutCertificate() async throws {
        for call in [RPCCall.ping, .notify(SampleReport.end())] {
            guard case .failure(let error) = try await self.answer(call, authenticated: false) else {
                Issue.record("\(call) was answered")
                continue
            }
            #expect(error.code == .unauthenticated)
        }
    }

    @Test(
        "A driver's error is answered with its code, and without internal details",
        arguments: [
            (DriverError.Code.unavailable, RPCError.Code.brokerUnavailable), (.tooLarge, .tooLarge),
            (.rejected, .internal),
        ])
    func driverErrors(driverCode: DriverError.Code, code: RPCError.Code) async throws {
        let driver = HeldDriver()
        async let answer = self.answer(.notify(SampleReport.end()), driver: driver)
        await driver.received(1)
        driver.release(
            .failure(DriverError(driverCode, driver: "held", reason: "rabbit.internal:5672 refused", limitBytes: 9)))
        guard case .failure(let error) = try await answer else {
            Issue.record("it counted as published")
            return
        }
        #expect(error.code == code)
        #expect(!error.message.contains("rabbit.internal"))
        #expect(error.limitBytes == (driverCode == .tooLarge ? 9 : nil))
    }
}
