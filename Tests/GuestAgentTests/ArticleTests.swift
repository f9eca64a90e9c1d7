// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestAgent
import GuestSpool
import LogTesting
import Logging
import Notifications
import Notifier
import RelayTesting
import ServiceLifecycle
import Testing
import UnixSignals

/// The examples of the articles in GuestAgent.docc, word for word except for paths and the port.
@Suite(.timeLimit(.minutes(1))) struct ArticleTests {
    private struct Backup { var id = "b-1" }
    private struct DiskFailed: Error {}
    private struct CallRefused: Error { var reason: String }
    private struct Call { var contextText: [UInt8]? }

    private func takeBackup() async throws -> Backup { Backup() }

    @Test("This file has every example of the articles")
    func examples() throws {
        let examples = try ArticleExamples(module: "GuestAgent")
        #expect(examples.count > 0)
        let missing = try examples.missing(
            in: #filePath,
            replacing: [
                #"host: "127.0.0.1", port: 8790"#: #"host: "localhost", port: conductor.port"#,
                #""tls/guest-guest-1.pem""#: #"conductor.certificates.path("guest.pem")"#,
                #""tls/guest-guest-1.key""#: #"conductor.certificates.path("guest.key")"#,
                #""tls/ca.pem""#: #"conductor.certificates.path("ca.pem")"#,
                #""/var/lib/my-agent""#: "directory",
            ])
        #expect(missing.isEmpty, "\(missing)")
    }

    @Test("The program of the first report delivers its report")
    func firstReport() async throws {
        let driver = TestDriver()
        try await withConductor(Notifier(drivers: [driver])) { conductor in
            let logger = Logger(label: "my-agent")
            let agent = try GuestAgent(
                configuration: .init(
                    conductors: [ConductorAddress(host: "localhost", port: conductor.port)],
                    certificateFile: conductor.certificates.path("guest.pem"),
                    keyFile: conductor.certificates.path("guest.key"), caFile: conductor.certificates.path("ca.pem")),
                outbox: MemoryOutbox(), logger: logger)
            let services = ServiceGroup(services: [agent], gracefulShutdownSignals: [.sigterm], logger: logger)
            async let running: Void = services.run()

            let contextText = """
                {"operation": "backup_delete", "request_id": "req-1", "tenant_id": "tenant-1", "user_id": "user-1",
                 "client_ip": "192.0.2.7", "payload": {"backup_id": "backup-1"}}
                """
            let context = try NotificationContext(json: Array(contextText.utf8))
            try await agent.withNotification(context) {
                print("Deleting the backup")
            }

            await services.triggerGracefulShutdown()
            try await running
        }
        #expect(driver.notifications.map(\.eventType) == ["dbaas.backup_delete.end"])
    }

    /// Calls a function with an agent that does not run. What it reports waits in the outbox.
    private func withAgent(_ outbox: any Outbox, _ body: (GuestAgent) async throws -> Void) async throws {
        let certificates = try TestCertificates()
        let configuration = GuestAgent.Configuration(
            conductors: [ConductorAddress(host: "localhost")], certificateFile: certificates.path("guest.pem"),
            keyFile: certificates.path("guest.key"), caFile: certificates.path("ca.pem"))
        try await body(GuestAgent(configuration: configuration, outbox: outbox, logger: .quiet))
    }

    private func event(of entry: OutboxEntry?) throws -> [String] {
        let report = try #require(entry?.report)
        guard case .end(let payload) = report.outcome else { return [report.context.operation, "error"] }
        return [report.context.operation, "end", payload["backup_id"]?.string ?? "none"]
    }

    @Test("The example of a call reports its end, and nothing without a context")
    func call() async throws {
        let outbox = MemoryOutbox()
        try await self.withAgent(outbox) { agent in
            func createBackup(_ call: Call) async throws {
                let context = try call.contextText.map { try NotificationContext(json: $0) }
                try await agent.withNotification(context) {
                    let backup = try await takeBackup()
                    OperationNotification.current?.set("backup_id", to: .string(backup.id))
                }
            }
            try await createBackup(Call())
            #expect(try await outbox.entries(after: 0, limit: 10).isEmpty)
            try await createBackup(Call(contextText: Array(SampleReport.contextText.utf8)))
        }
        let entries = try await outbox.entries(after: 0, limit: 10)
        #expect(try entries.count == 1 && self.event(of: entries.first) == ["database_create", "end", "b-1"])
    }

    @Test("The example of the overview reports its end from a spool")
    func overview() async throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "spool-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let logger = Logger.quiet
        let spool = try await Spool.open(directory, logger: logger)
        try await self.withAgent(spool) { agent in
            let context = SampleReport.context()
            try await agent.withNotification(context) {
                let backup = try await takeBackup()
                OperationNotification.current?.set("backup_id", to: .string(backup.id))
            }
        }
        #expect(try await self.event(of: spool.entries(after: 0, limit: 1).first) == ["database_create", "end", "b-1"])
        try await spool.close()
    }

    @Test("The example of errors refuses a call without a beginning, and passes on an operation's error")
    func errors() async throws {
        let logger = Logger.quiet
        func run(_ agent: GuestAgent, takeBackup: () async throws -> Backup) async throws {
            let context = SampleReport.context()
            var backup: Backup?
            do {
                try await agent.withNotification(context) {
                    backup = try await takeBackup()
                }
            } catch let error as OutboxError where backup == nil {
                // The operation did not run: refuse the call, so that the control plane can repeat it.
                throw CallRefused(reason: error.description)
            } catch let error as OutboxError {
                // The operation succeeded. Do not repeat it; a spool still tries to store its end.
                logger.error("Failed to record an outcome", metadata: ["error": "\(error)"])
            }
        }
        try await self.withAgent(MemoryOutbox(capacity: 0)) { agent in
            await #expect(throws: CallRefused.self) { try await run(agent) { Backup() } }
        }
        try await self.withAgent(MemoryOutbox()) { agent in
            await #expect(throws: DiskFailed.self) { try await run(agent) { throw DiskFailed() } }
        }
    }
}
