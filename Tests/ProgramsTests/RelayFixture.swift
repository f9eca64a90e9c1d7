// SPDX-License-Identifier: Apache-2.0

import Foundation
import Subprocess
import Testing

/// A directory with certificates, in which a test configures and runs conductors and guest agents.
struct RelayFixture: Sendable {
    /// The directory; removed when the test ends.
    let directory: URL

    /// A running conductor.
    struct Conductor: Sendable {
        /// The process.
        let program: RunningProgram
        /// The port it listens on, at 127.0.0.1.
        let port: String

        /// Returns the notifications that its `log` driver has written.
        func notifications() throws -> [Notification] {
            try self.program.standardOutput.all.map { try Notification($0) }
        }

        /// Waits for a notification of this event.
        func notification(of eventType: String) async throws -> Notification {
            try Notification(await self.program.standardOutput.line(containing: "\"event_type\":\"\(eventType)\""))
        }
    }

    /// Runs the body with a fixture of its own.
    @discardableResult
    static func with<Result>(_ body: (RelayFixture) async throws -> Result) async throws -> Result {
        let directory = FileManager.default.temporaryDirectory.appending(path: "programs-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let fixture = RelayFixture(directory: directory)
        for arguments in [["init"], ["guest", "guest-1", "--tenant", "tenant-1"]] {
            let end = try await Program.conductor.run(
                ["certificates"] + arguments + ["--directory", fixture.path("tls")])
            try #require(end.status == .exited(0), "\(end.errorText)")
        }
        return try await body(fixture)
    }

    /// Returns the path of a file in the directory.
    func path(_ name: String) -> String { self.directory.appending(path: name).path }

    /// Writes a file, and returns its path. Settings with the broker's URL, which has a password, get the mode 0600.
    func write(_ text: String, to name: String) throws -> String {
        try Data(text.utf8).write(to: self.directory.appending(path: name))
        if text.contains("transport_url:") {
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: self.path(name))
        }
        return self.path(name)
    }

    /// Writes a conductor's settings: the `log` driver and a port that the system chooses, unless others are given.
    func conductorFile(drivers: String = "log", port: String = "0", more: String = "") throws -> String {
        try self.write(
            """
            listen: {host: 127.0.0.1, port: \(port)}
            tls:
              certificate: \(self.path("tls/conductor.pem"))
              key: \(self.path("tls/conductor.key"))
              guest_ca: \(self.path("tls/ca.pem"))
            drivers: [\(drivers)]
            publisher: {host: edge-1}
            \(more)

            """, to: "conductor-\(UUID().uuidString).yaml")
    }

    /// Serves while the body runs, then sends SIGTERM and requires exit status 0.
    @discardableResult
    func withConductor(
        drivers: String = "log", port: String = "0", more: String = "", _ body: (Conductor) async throws -> Void
    ) async throws -> ProgramEnd {
        let file = try self.conductorFile(drivers: drivers, port: port, more: more)
        let end = try await Program.conductor.run(["serve", "--config", file]) { program in
            try await body(try await self.listening(program))
            try program.send(.terminate)
        }
        #expect(end.status == .exited(0), "\(end.errorText)")
        return end
    }

    /// Waits until a conductor listens.
    func listening(_ program: RunningProgram) async throws -> Conductor {
        let line = try await program.standardError.line(containing: "Listening for guests")
        let port = try #require(line.firstMatch(of: /address=127\.0\.0\.1:(\d+)/)?.output.1)
        return Conductor(program: program, port: String(port))
    }

    /// The directory of this guest's spools.
    var spoolDirectory: String { self.path("spools") }

    /// Writes a guest's settings.
    func guestFile(ports: [String], drainTimeout: Double = 30) throws -> String {
        try self.write(
            """
            conductors: [\(ports.map { "\"127.0.0.1:\($0)\"" }.joined(separator: ", "))]
            tls:
              certificate: \(self.path("tls/guest-guest-1.pem"))
              key: \(self.path("tls/guest-guest-1.key"))
              ca: \(self.path("tls/ca.pem"))
            delivery: {drain_timeout: \(drainTimeout)}
            spool: {directory: \(self.spoolDirectory)}

            """, to: "guest-\(UUID().uuidString).yaml")
    }

    /// Writes a context as the control plane sends it with a call: of `database_create`, or of another operation.
    func contextFile(operation: String = "database_create", payload: String? = nil) throws -> String {
        try self.write(
            """
            {"operation": "\(operation)", "request_id": "req-1", "tenant_id": "tenant-1", "user_id": "user-1",
             "client_ip": "10.1.2.3", "payload": \(payload ?? #"{"instance_id": "guest-1", "dbname": "shop"}"#)}

            """, to: "context-\(UUID().uuidString).json")
    }

    /// Runs a command under `guest-agent exec`.
    func exec(
        _ command: [String], ports: [String], drainTimeout: Double = 30, context: String? = nil,
        environment: [String: String] = [:], during body: (RunningProgram) async throws -> Void = { _ in }
    ) async throws -> ProgramEnd {
        let context = try context ?? self.contextFile()
        let file = try self.guestFile(ports: ports, drainTimeout: drainTimeout)
        // In a session of its own: an agent in the foreground of the tests' terminal would assume that a SIGINT for the
        // tests reached its command too.
        return try await Program("setsid").run(
            [Program.guestAgent.path, "exec", "--config", file, "--context", context, "--"] + command,
            environment: environment, during: body)
    }

    /// Runs another command of the guest agent with this guest's settings.
    func guestAgent(_ arguments: [String], ports: [String] = ["1"]) async throws -> ProgramEnd {
        try await Program.guestAgent.run(arguments + ["--config", try self.guestFile(ports: ports)])
    }
}
