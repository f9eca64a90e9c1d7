// SPDX-License-Identifier: Apache-2.0

import Foundation
import Subprocess
import Testing

/// A limit of file descriptors that is low or reached.
@Suite("conductor serve: descriptor limits", .timeLimit(.minutes(2)))
struct ConductorLimitsTests {
    /// Returns the soft and the hard limit of a process's descriptors.
    private func limits(_ conductor: RelayFixture.Conductor) throws -> [String] {
        let file = try String(contentsOfFile: "/proc/\(conductor.program.identifier)/limits", encoding: .utf8)
        let line = try #require(file.split(separator: "\n").first { $0.hasPrefix("Max open files") })
        return line.dropFirst("Max open files".count).split(separator: " ").prefix(2).map(String.init)
    }

    /// Returns the processor time that a process has used, in hundredths of a second.
    private func processorTime(_ conductor: RelayFixture.Conductor) throws -> Int {
        let file = try String(contentsOfFile: "/proc/\(conductor.program.identifier)/stat", encoding: .utf8)
        // The name in parentheses can contain spaces.
        let fields = try #require(file.split(separator: ")").last).split(separator: " ")
        return try #require(Int(fields[11])) + #require(Int(fields[12]))
    }

    private func serve(
        _ relay: RelayFixture, limit: String, more: String = "", _ body: (RelayFixture.Conductor) async throws -> Void
    ) async throws -> ProgramEnd {
        let file = try relay.conductorFile(more: more)
        return try await Program("sh").run(
            ["-c", "ulimit \(limit) && exec \"$0\" serve --config \"$1\"", Program.conductor.path, file]
        ) { program in
            try await body(try await relay.listening(program))
            try program.send(.terminate)
        }
    }

    @Test("The soft limit is raised as far as limits.connections needs")
    func raisedSoftLimit() async throws {
        try await RelayFixture.with { relay in
            let limits = "limits: {connections: 1000, pending_connections: 100}"
            let end = try await self.serve(relay, limit: "-S -n 256", more: limits) { conductor in
                let soft = try #require(Int(self.limits(conductor)[0]))
                #expect(soft > 1000 && soft < 2000)
                try await relay.withTerminal(port: conductor.port) { _ in }
            }
            #expect(end.status == .exited(0), "\(end.errorText)")
            #expect(!end.errorText.contains("RLIMIT_NOFILE"), "\(end.errorText)")
        }
    }

    @Test("A hard limit that is too low is logged once, and a guest can still connect")
    func lowHardLimit() async throws {
        try await RelayFixture.with { relay in
            let end = try await self.serve(relay, limit: "-n 200") { conductor in
                #expect(try self.limits(conductor) == ["200", "200"])
                try await relay.withTerminal(port: conductor.port) { _ in }
            }
            #expect(end.status == .exited(0), "\(end.errorText)")
            let warnings = end.standardError.filter { $0.contains("RLIMIT_NOFILE=200") }
            #expect(warnings.count == 1, "\(end.errorText)")
            #expect(warnings.first?.contains(" warning ") == true)
            #expect(warnings.first?.contains("limits.connections=10000") == true)
        }
    }

    @Test("Without free descriptors, serve keeps its guests, uses little CPU time and recovers")
    func exhaustedDescriptors() async throws {
        try await RelayFixture.with { relay in
            let end = try await relay.withConductor(more: "limits: {handshake_timeout: 600}") { conductor in
                try await relay.withTerminal(port: conductor.port) { guest in
                    let open = try FileManager.default.contentsOfDirectory(
                        atPath: "/proc/\(conductor.program.identifier)/fd"
                    ).compactMap(Int.init)
                    // Four are left. Descriptors above the limit stay open, and their numbers may have gaps.
                    let limit = try #require((4...4096).first { limit in limit - open.count { $0 < limit } == 4 })
                    let set = try await Program("prlimit").run(
                        ["--pid", "\(conductor.program.identifier)", "--nofile=\(limit):\(limit)"])
                    try #require(set.status == .exited(0), "\(set.errorText)")

                    var silent: [QuietSocket] = []
                    for _ in 1...40 { silent.append(try QuietSocket(port: conductor.port)) }
                    try await conductor.program.standardError.line(
                        containing: "Failed to accept a connection for lack of")
                    // A connected guest is not affected.
                    try await guest.write(#"{"jsonrpc":"2.0","id":"inside","method":"ping"}"#)
                    try await guest.standardOutput.line(containing: #""id":"inside""#)
                    // The listener pauses: it does not try to accept the same connection repeatedly.
                    let before = try self.processorTime(conductor)
                    try await Task.sleep(for: .seconds(2))
                    #expect(try self.processorTime(conductor) - before < 60)
                    // When the silent connections close, descriptors are free again, at the same limit without restart.
                    silent = []
                    let exec = try await relay.exec(["true"], ports: [conductor.port])
                    #expect(exec.status == .exited(0), "\(exec.errorText)")
                    _ = try await conductor.notification(of: "dbaas.database_create.end")
                }
            }
            // Not every attempt is logged.
            #expect(end.standardError.count { $0.contains("Failed to accept a connection") } <= 2, "\(end.errorText)")
        }
    }

    @Test("SIGUSR1 and the end log the numbers of open and rejected connections")
    func connectionCounters() async throws {
        try await RelayFixture.with { relay in
            let end = try await relay.withConductor(more: "limits: {connections_per_guest: 1}") { conductor in
                try await relay.withTerminal(port: conductor.port) { _ in
                    let exec = try await relay.exec(["true"], ports: [conductor.port], drainTimeout: 1)
                    #expect(exec.status == .exited(0), "\(exec.errorText)")
                    try conductor.program.send(.userDefinedOne)
                    let line = try await conductor.program.standardError.line(containing: "connections_refused=")
                    #expect(line.contains("connections=1") && line.contains("handshakes=0"), "\(line)")
                    #expect(try #require(line.firstMatch(of: /connections_refused=(\d+)/)).output.1 != "0")
                }
            }
            #expect(end.standardError.dropLast().last?.contains("connections_refused=") == true, "\(end.errorText)")
        }
    }
}
