import Foundation
import GuestAgent
import Logging
import Notifier
import ProcessTesting
import RelayTesting
import ServiceLifecycle
import Testing
import UnixSignals

/// The examples of README.md work as they stand there.
@Suite(.timeLimit(.minutes(1))) struct ReadmeTests {
    private let readme: String

    init() throws {
        let file = URL(fileURLWithPath: #filePath).appending(path: "../../../README.md").standardizedFileURL
        self.readme = try String(contentsOf: file, encoding: .utf8)
    }

    private func block(_ language: String) throws -> String {
        let start = try #require(self.readme.range(of: "```\(language)\n"))
        let end = try #require(self.readme.range(of: "\n```", range: start.upperBound..<self.readme.endIndex))
        return String(self.readme[start.upperBound..<end.lowerBound])
    }

    @Test func anotherLanguageIsAnswered() async throws {
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

    /// The example's code, word for word but for the file names; the second test sees to that.
    @Test func theEmbeddingExampleDelivers() async throws {
        let driver = TestDriver()
        try await withConductor(Notifier(drivers: [driver])) { conductor in
            let logger = Logger(label: "guest")
            let agent = try GuestAgent(
                configuration: .init(
                    conductors: [ConductorAddress(host: "localhost", port: conductor.port)],
                    certificateFile: conductor.certificates.path("guest.pem"),
                    keyFile: conductor.certificates.path("guest.key"), caFile: conductor.certificates.path("ca.pem")),
                logger: logger)
            let services = ServiceGroup(services: [agent], gracefulShutdownSignals: [.sigterm], logger: logger)
            async let running: Void = services.run()

            let contextFromTheControlPlane = Array(
                SampleReport.contextText.replacing("database_create", with: "backup_create").utf8)
            let context = try NotificationContext(json: contextFromTheControlPlane)
            try await agent.withNotification(context) {
                let backup = try await takeBackup()
                OperationNotification.current?.set("backup_id", to: .string(backup.id))
            }
            await services.triggerGracefulShutdown()  // delivers what waits
            try await running
        }
        #expect(driver.notifications.first?.payload["backup_id"] == "b-1")
    }

    @Test func theEmbeddingExampleIsTheOneInTheReadme() throws {
        let source = try String(contentsOf: URL(fileURLWithPath: #filePath), encoding: .utf8)
        let lines = try self.block("swift").split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
        let replaced = ["conductors:", "certificateFile:"]
        for line in lines where !replaced.contains(where: line.hasPrefix) {
            #expect(source.contains(line), "the test's example lacks: \(line)")
        }
    }
}
