// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestAgent
import Logging
import NIOConcurrencyHelpers
import Notifier
import ProcessTesting
import RelayTesting
import ServiceLifecycle
import Testing
import UnixSignals

/// The examples of README.md work as they are written.
@Suite(.timeLimit(.minutes(1))) struct ReadmeTests {
    private let readme: String

    init() throws {
        let file = URL(fileURLWithPath: #filePath).appending(path: "../../../README.md").standardizedFileURL
        self.readme = try String(contentsOf: file, encoding: .utf8)
    }

    /// - Parameter number: which of the blocks in this language, from 0.
    private func block(_ language: String, _ number: Int = 0) throws -> String {
        let blocks = self.readme.components(separatedBy: "```\(language)\n").dropFirst()
        let block = try #require(blocks.dropFirst(number).first)
        return try #require(block.components(separatedBy: "\n```").first)
    }

    @Test("The report of the Python example is published")
    func pythonExample() async throws {
        let driver = TestDriver()
        try await withConductor(Notifier(drivers: [driver])) { conductor in
            let certificates = conductor.certificates
            var program = "context = \(SampleReport.contextText)\n" + (try self.block("python"))
            for name in ["ca.pem", "guest.pem", "guest.key"] {
                program = program.replacing("\"\(name)\"", with: "\"\(certificates.path(name))\"")
            }
            program = program.replacing("\"conductor.example\", 8790", with: "\"localhost\", \(conductor.port)")
                .replacing("conductor.example", with: "localhost")
            let python = try TestProcess("python3", ["-c", program])
            let output = await python.outputUntilExit()
            #expect(output.contains(#""disposition":"published""#), "\(output)")
        }
        #expect(driver.notifications.map(\.eventType) == ["dbaas.database_create.error"])
        #expect(driver.notifications.first?.payload["exception"] == ["line 7", "ValueError: no such table"])
    }

    private struct Backup { var id = "b-1" }
    private func takeBackup() async throws -> Backup { Backup() }

    /// The example's code, word for word except for the file names; the next test checks that.
    @Test("The embedding example delivers its outcome")
    func embeddingExample() async throws {
        let driver = TestDriver()
        try await withConductor(Notifier(drivers: [driver])) { conductor in
            let logger = Logger(label: "guest")
            let directory = conductor.certificates.path("spool")
            let spool = try await Spool.open(directory, logger: logger)
            let agent = try GuestAgent(
                configuration: .init(
                    conductors: [ConductorAddress(host: "localhost", port: conductor.port)],
                    certificateFile: conductor.certificates.path("guest.pem"),
                    keyFile: conductor.certificates.path("guest.key"), caFile: conductor.certificates.path("ca.pem")),
                outbox: spool, logger: logger)
            let services = ServiceGroup(services: [agent], gracefulShutdownSignals: [.sigterm], logger: logger)
            async let running: Void = services.run()

            let contextFromTheControlPlane = Array(
                SampleReport.contextText.replacing("database_create", with: "backup_create").utf8)
            let context = try NotificationContext(json: contextFromTheControlPlane)
            try await agent.withNotification(context) {
                let backup = try await takeBackup()
                OperationNotification.current?.set("backup_id", to: .string(backup.id))
            }
            await services.triggerGracefulShutdown()  // delivers waiting outcomes first
            try await running
            try await spool.close()
        }
        #expect(driver.notifications.first?.payload["backup_id"] == "b-1")
    }

    @Test("The embedding example in this file is the one in README.md")
    func embeddingExampleText() throws {
        let source = try String(contentsOf: URL(fileURLWithPath: #filePath), encoding: .utf8)
        let lines = try self.block("swift").split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
        let replaced = ["let spool", "conductors:", "certificateFile:"]
        for line in lines where !replaced.contains(where: line.hasPrefix) {
            #expect(source.contains(line), "the test's example lacks: \(line)")
        }
    }

    private func resetStatus() async throws {}

    private let contexts = NIOLockedValueBox<[JSONObject]>([])
    private func callGuest(_ method: String, _ context: JSONObject) async throws {
        self.contexts.withLockedValue { $0.append(context) }
    }

    /// The example's code, word for word except for the driver; the next test checks that.
    @Test("The control plane's example publishes its notifications")
    func controlPlaneExample() async throws {
        let driver = TestDriver()
        let logger = Logger(label: "api")
        let notifier = Notifier(drivers: [driver])
        let services = ServiceGroup(services: [notifier], gracefulShutdownSignals: [.sigterm], logger: logger)
        async let running: Void = services.run()

        let api = ControlPlaneNotifier(
            notifier,
            origin: NotificationOrigin(publisherID: "api.control-1", serverType: "api", serverIP: "192.0.2.1:8779"),
            logger: logger)
        let request = APIRequest(tenantID: "tenant-1", userID: "user-1", clientIP: "198.51.100.7")

        // The service does the work: publishes the start, then the end, or the error that it rethrows.
        try await api.withNotification("instance_reset_status", request: request, payload: ["instance_id": "i-1"]) {
            _ in
            try await resetStatus()
        }
        // A guest does the work: publishes the start; the guest reports the end or the error.
        let notifications = try await api.startEach(
            "database_create", request: request, payload: ["instance_id": "i-1", "dbname": ["shop", "stock"]])
        for notification in notifications {
            try await notification.handOff { context in try await callGuest("create_database", context.json) }
        }

        #expect(
            driver.notifications.map(\.eventType) == [
                "dbaas.instance_reset_status.start", "dbaas.instance_reset_status.end",
                "dbaas.database_create.start", "dbaas.database_create.start",
            ])
        let guests = self.contexts.withLockedValue { $0 }
        #expect(guests.map { $0["payload"]?.object?["dbname"] } == ["shop", "stock"])
        #expect(throws: Never.self) { try guests.map { try NotificationContext($0) } }
        // The notifier that the example creates, which lacks only its broker.
        _ = try Notifier(
            names: [.messagingv2], messaging: .init(transportURL: "rabbit://trove:PASSWORD@rabbit-1/trove?ssl=1"),
            logger: logger)
        await services.triggerGracefulShutdown()
        try await running
    }

    @Test("The control plane's example in this file is the one in README.md")
    func controlPlaneExampleText() throws {
        let source = try String(contentsOf: URL(fileURLWithPath: #filePath), encoding: .utf8)
        // The line breaks may differ.
        func joined(_ text: String) -> String { text.split(whereSeparator: \.isWhitespace).joined(separator: " ") }
        let test = joined(source)
        let example = try self.block("swift", 1).replacing("let notifier = try Notifier(", with: "_ = try Notifier(")
        for line in example.split(separator: "\n") {
            #expect(test.contains(joined(String(line))), "the test's example lacks: \(line)")
        }
    }
}
