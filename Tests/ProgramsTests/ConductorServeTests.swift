// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import ProcessTesting
import Subprocess
import SystemPackage
import Testing

@Suite("conductor serve", .timeLimit(.minutes(2)))
struct ConductorServeTests {
    private static let call = #"""
        {"jsonrpc":"2.0","id":1,"method":"notify_end","params":{"context":{"operation":"database_create",\#
        "request_id":"r","tenant_id":"tenant-1","client_ip":"10.0.0.9","payload":{"instance_id":"guest-1","dbname":"d"}}}}
        """#

    @Test("With an unreachable broker, serve starts, answers with a retryable error and stops quickly")
    func unreachableBroker() async throws {
        try await RelayFixture.with { relay in
            let broker = try ReservedPort()
            let messaging = """
                messaging:
                  transport_url: "rabbit://user:hunter2@127.0.0.1:\(broker.number)/"
                  publish_timeout: 1
                """
            let clock = ContinuousClock()
            var stopped = clock.now
            let end = try await relay.withConductor(drivers: "messagingv2", more: messaging) { conductor in
                try await conductor.program.standardError.line(containing: "messaging.transport_url")
                try await relay.withTerminal(port: conductor.port) { guest in
                    try await guest.write(Self.call)
                    let answer = try await guest.standardOutput.line(containing: #""id":1"#)
                    #expect(answer.contains(#""reason":"broker_unavailable""#) && answer.contains(#""retryable":true"#))
                }
                stopped = clock.now
            }
            #expect(clock.now - stopped < .seconds(5))
            #expect(!end.errorText.contains("hunter2"))
        }
    }

    @Test(
        "SIGTERM and SIGINT end serve quickly with status 0 while guests are connected",
        arguments: [Signal.terminate, .interrupt])
    func termination(_ signal: Signal) async throws {
        try await RelayFixture.with { relay in
            let clock = ContinuousClock()
            let file = try relay.conductorFile()
            var stopped = clock.now
            let end = try await Program.conductor.run(["serve", "--config", file]) { program in
                let conductor = try await relay.listening(program)
                try await relay.withTerminal(port: conductor.port) { _ in
                    try await relay.withTerminal(port: conductor.port) { guest in
                        stopped = clock.now
                        try program.send(signal)
                        // The conductor closes the connection, and the client ends with it.
                        try await guest.standardError.end()
                    }
                }
            }
            #expect(end.status == .exited(0), "\(end.errorText)")
            // The drain timeout is 20 seconds, but nothing was in flight.
            #expect(clock.now - stopped < .seconds(10))
        }
    }

    @Test("A closed reader of standard output causes a retryable error and does not end serve")
    func closedStandardOutput() async throws {
        try await RelayFixture.with { relay in
            // Created close-on-exec, which pipe() cannot do. Otherwise a process that another test starts at this
            // moment would keep the reading end open.
            var ends: [Int32] = [0, 0]
            try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0)
            try FileDescriptor(rawValue: ends[0]).close()
            let file = try relay.conductorFile()
            let end = try await Program.conductor.run(
                ["serve", "--config", file], standardOutput: FileDescriptor(rawValue: ends[1])
            ) { program in
                let conductor = try await relay.listening(program)
                for _ in 1...2 {
                    try await relay.withTerminal(port: conductor.port) { guest in
                        try await guest.write(Self.call)
                        let answer = try await guest.standardOutput.line(containing: #""id":1"#)
                        #expect(answer.contains(#""retryable":true"#))
                    }
                }
                try program.send(.terminate)
            }
            #expect(end.status == .exited(0), "\(end.errorText)")
        }
    }

    /// Returns the number of a process's threads whose names begin with the prefix.
    private func threads(_ process: Int32, _ prefix: String) throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/\(process)/task").count { thread in
            let name = try? String(contentsOfFile: "/proc/\(process)/task/\(thread)/comm", encoding: .utf8)
            return name?.hasPrefix(prefix) == true
        }
    }

    @Test("On one processor, serve runs one event loop thread and two pool threads")
    func oneProcessor() async throws {
        try await RelayFixture.with { relay in
            let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
            let allowed = try #require(status.split(separator: "\n").first { $0.hasPrefix("Cpus_allowed_list:") })
            let first = try #require(allowed.split(whereSeparator: { !$0.isNumber }).first)
            let end = try await Program("taskset").run(
                ["--cpu-list", String(first), Program.conductor.path, "serve", "--config", try relay.conductorFile()]
            ) { program in
                let conductor = try await relay.listening(program)
                try await relay.withTerminal(port: conductor.port) { guest in
                    try await guest.write(Self.call)
                    _ = try await guest.standardOutput.line(containing: #""id":1"#)
                    #expect(try self.threads(program.identifier, "NIO-SGLTN-1-#") == 1)
                    #expect(try self.threads(program.identifier, "TP-#") == 2)
                }
                try program.send(.terminate)
            }
            #expect(end.status == .exited(0), "\(end.errorText)")
        }
    }
}
