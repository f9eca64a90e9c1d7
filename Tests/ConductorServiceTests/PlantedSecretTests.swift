// SPDX-License-Identifier: Apache-2.0

import BrokerTesting
import ConductorRPC
import Foundation
import GuestAgent
import GuestSpool
import LogTesting
import Notifications
import Notifier
import RelayTesting
import Testing

/// Secrets in every field that a guest can set, and the outputs that must not contain them.
@Suite(.timeLimit(.minutes(2))) struct PlantedSecretTests {
    private static let secret = "pl4nted-s3cret"

    /// The secret as a field's value, after some text.
    private static func planted(_ text: String = "") -> JSONValue { .string(text + self.secret) }

    private var context: NotificationContext {
        get throws {
            NotificationContext(
                operation: "instance_create", requestID: "req-1", tenantID: "tenant-1", clientIP: "c",
                payload: [
                    "name": "n", "backup_id": Self.planted("password="), "password": Self.planted(),
                    "users": [["name": "anna", "password": Self.planted()]],
                ], requestContext: ["auth_token": Self.planted(), "roles": [], "service_catalog": Self.planted()])
        }
    }

    private let error = ExceptionInfo(
        etype: "Failed", value: "IDENTIFIED BY '\(Self.secret)' and unlock with \(Self.secret)",
        trace: ["{'X-Auth-Token': '\(Self.secret)'}"])

    /// Either side alone removes the secrets.
    @Test("No secret is published or logged, whichever side redacts", arguments: [true, false])
    func redactionOnOneSide(inTheGuest: Bool) async throws {
        let redaction = try Redaction(fields: [], patterns: ["unlock with *"])
        let (driver, log) = (TestDriver(), LogRecorder())
        let notifier = Notifier(drivers: [driver], redaction: inTheGuest ? .none : redaction)
        try await withConductor(notifier, logger: log.logger("conductor")) { conductor in
            let run = try await GuestAgentRun.start(
                conductor, logger: log.logger("guest"), redaction: inTheGuest ? redaction : .none)
            let context = try self.context
            try await run.agent.notify(
                .error(self.error, payload: ["backup_id": Self.planted("token: ")]), context: context)
            await #expect(throws: CancellationError.self) {
                try await run.agent.withNotification(context) {
                    OperationNotification.current?.set("secret", to: Self.planted())
                    OperationNotification.current?.set("backup_id", to: Self.planted("pwd="))
                    throw CancellationError()
                }
            }
            try await run.drained()
        }
        #expect(driver.notifications.count == 2)
        #expect(driver.notifications.first?.payload["message"] == "IDENTIFIED BY '***' and unlock with ***")
        #expect(driver.notifications.first?.payload["backup_id"] == "token: ***")
        #expect(driver.notifications.last?.payload["backup_id"] == "pwd=***")
        #expect(!"\(driver.notifications)".contains(Self.secret))
        #expect(!log.text.contains(Self.secret))
    }

    @Test("No secret enters the outbox")
    func outboxContents() async throws {
        let certificates = try TestCertificates()
        let outbox = RecordingOutbox()
        let agent = try GuestAgent(
            configuration: .init(
                conductors: [ConductorAddress(host: "127.0.0.1", port: 1)],
                certificateFile: certificates.path("guest.pem"), keyFile: certificates.path("guest.key"),
                caFile: certificates.path("ca.pem")), outbox: outbox, logger: LogRecorder().logger("guest"))
        let error = ExceptionInfo(etype: "Failed", value: "password=\(Self.secret)", trace: ["pwd=\(Self.secret)"])
        try await agent.notify(.error(error, payload: ["secret": Self.planted()]), context: try self.context)
        try await agent.withNotification(try self.context) {
            // The operation itself sees the original value.
            #expect(OperationNotification.current?.context.payload["password"] == Self.planted())
        }
        let seen = await outbox.seen
        #expect(seen.count == 4)
        #expect(!"\(seen)".contains(Self.secret))
    }

    /// Every driver gets the redacted notification, and one without secrets is unchanged.
    @Test("The notifier redacts notifications for all its drivers")
    func redactingNotifier() async throws {
        let (one, two) = (TestDriver(), TestDriver())
        func message(_ payload: JSONObject, _ context: JSONObject) -> NotificationMessage {
            NotificationMessage(
                messageID: MessageID("7f8ff6b6-2f1f-40db-ae6f-c92cbc9e2827") ?? MessageID(), publisherID: "p",
                eventType: "e", priority: .info, payload: payload,
                timestamp: NotificationTimestamp(microsecondsSinceEpoch: 0), context: context)
        }
        let dirty = message(["a": ["x": "password=s"], "token": 5], ["auth_token": "s", "user": "u"])
        let clean = message(["a": ["x": "y"]], ["auth_token": nil, "user": "u"])
        let notifier = Notifier(drivers: [one, two])
        try await notifier.emit(dirty)
        try await notifier.emit(clean)
        let redacted = message(["a": ["x": "password=***"], "token": nil], ["auth_token": nil, "user": "u"])
        #expect(one.notifications == [redacted, clean])
        #expect(two.notifications == [redacted, clean])
        let open = TestDriver()
        try await Notifier(drivers: [open], redaction: .none).emit(dirty)
        #expect(open.notifications == [dirty])
    }
}

/// An outbox that records everything that is stored in it.
private actor RecordingOutbox: Outbox {
    private let memory = MemoryOutbox()
    private(set) var seen: [String] = []

    func begin(_ operation: BegunOperation) async throws {
        self.seen.append("\(operation)")
        try await self.memory.begin(operation)
    }

    func finish(_ report: OutcomeReport) async throws {
        self.seen.append("\(report)")
        try await self.memory.finish(report)
    }

    func entries(_ phase: OperationPhase?, after sequence: Int64, limit: Int) async throws -> [OutboxEntry] {
        try await self.memory.entries(phase, after: sequence, limit: limit)
    }

    func remove(_ sequences: [Int64]) async throws { try await self.memory.remove(sequences) }
    func setAside(_ sequence: Int64, reason: String) async throws {
        try await self.memory.setAside(sequence, reason: reason)
    }
    func counts() async throws -> OutboxCounts { try await self.memory.counts() }
}
