import BrokerTesting
import Foundation

/// The scripts of Tests/Compatibility, which are real oslo.messaging.
enum OsloScript {
    private struct MissingPython: Error, CustomStringConvertible {
        let description =
            "CONDUCTOR_TEST_PYTHON is not set: these tests need a Python with oslo.messaging, which Tests/run "
            + "installs; or make one as Tests/Compatibility/README.md says and set the variable to it"
    }

    /// Runs one of the scripts.
    static func run(
        _ name: String, _ arguments: [String], during body: (RunningProgram) async throws -> Void = { _ in }
    ) async throws -> ProgramEnd {
        guard let python = ProcessInfo.processInfo.environment["CONDUCTOR_TEST_PYTHON"], !python.isEmpty else {
            throw MissingPython()
        }
        let script = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../Compatibility/\(name).py").standardizedFileURL
        return try await Program(python).run(["-W", "ignore", script.path] + arguments, during: body)
    }

    /// What a real listener receives of `count` notifications while the body runs, in any order.
    static func received(
        _ count: Int, from broker: TestBroker, _ names: UniqueTopic, during body: () async throws -> Void
    ) async throws -> (end: ProgramEnd, notifications: [Notification]) {
        let options = [
            "--url", broker.url, "--exchange", names.exchange, "--topic", names.topic, "--count", "\(count)",
            "--timeout", "90",
        ]
        let end = try await self.run("oslo_listener", options) { listener in
            try await listener.standardOutput.line(containing: "READY")
            try await body()
        }
        return (end, try end.standardOutput.filter { $0 != "READY" }.map { try Notification($0) })
    }
}

extension TestBroker {
    /// The conductor's settings for this broker.
    func messaging(_ names: UniqueTopic) -> String {
        "messaging: {transport_url: \"\(self.url)\", exchange: \(names.exchange), topic: \(names.topic)}"
    }
}
