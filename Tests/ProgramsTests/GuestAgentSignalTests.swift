// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import ProcessTesting
import Subprocess
import Testing

@Suite("guest-agent exec: signals and failed deliveries", .timeLimit(.minutes(2)))
struct GuestAgentSignalTests {
    @Test(
        "A signal to the agent is forwarded to the command, and the outcome is still delivered",
        arguments: [(Signal.terminate, "TERM"), (.interrupt, "INT"), (.terminalClosed, "HUP")])
    func forwardedSignal(_ signal: Signal, _ name: String) async throws {
        try await RelayFixture.with { relay in
            try await relay.withConductor { conductor in
                let command = "trap 'echo caught \(name) >&2; kill $!; exit 5' \(name); sleep 60 & echo ready; wait"
                let end = try await relay.exec(["sh", "-c", command], ports: [conductor.port]) { agent in
                    try await agent.standardOutput.line(containing: "ready")
                    try agent.send(signal)
                }
                #expect(end.status == .exited(5), "\(end.errorText)")
                let notification = try await conductor.notification(of: "dbaas.database_create.error")
                #expect(notification.message == "caught \(name)")
            }
        }
    }

    @Test("A signal that the command does not handle ends the command, and its outcome is an error")
    func defaultAction() async throws {
        try await RelayFixture.with { relay in
            try await relay.withConductor { conductor in
                let end = try await relay.exec(["sh", "-c", "echo ready; exec sleep 60"], ports: [conductor.port]) {
                    try await $0.standardOutput.line(containing: "ready")
                    try $0.send(.terminate)
                }
                #expect(end.status == .exited(128 + 15), "\(end.errorText)")
                let notification = try await conductor.notification(of: "dbaas.database_create.error")
                #expect(notification.exception.last?.hasPrefix("CommandKilled") == true)
            }
        }
    }

    @Test("The command starts with no signal ignored or blocked")
    func initialSignalState() async throws {
        try await RelayFixture.with { relay in
            try await relay.withConductor { conductor in
                let end = try await relay.exec(
                    ["grep", "-E", "^Sig(Ign|Blk)", "/proc/self/status"], ports: [conductor.port])
                try #require(end.standardOutput.count == 2)
                for line in end.standardOutput {
                    let mask = try #require(UInt64(line.split(separator: "\t").last ?? "", radix: 16))
                    // Signals 1 to 31; those above are real-time signals, some of which the C library reserves.
                    #expect(mask & 0x7FFF_FFFF == 0, "\(line)")
                }
            }
        }
    }

    @Test("A closed reader of standard error does not prevent the outcome from being reported")
    func closedStandardError() async throws {
        try await RelayFixture.with { relay in
            try await relay.withConductor { conductor in
                let (file, context) = (try relay.guestFile(ports: [conductor.port]), try relay.contextFile())
                // The shell waits for the reader of its pipe to end before it starts the agent.
                let script = """
                    mkfifo "$1"; exec 3<>"$1"; exec 4>"$1"; exec 3<&-; shift; exec "$@" 2>&4
                    """
                let end = try await Program("sh").run([
                    "-c", script, "sh", relay.path("fifo"), Program.guestAgent.path, "exec", "--config", file,
                    "--context", context, "--", "sh", "-c", "echo lost >&2; exit 3",
                ])
                #expect(end.status == .exited(3), "\(end.errorText)")
                let notification = try await conductor.notification(of: "dbaas.database_create.error")
                #expect(notification.message == "lost")
            }
        }
    }

    @Test("Without a conductor, exec keeps the command's status and prints why delivery failed")
    func unreachableConductor() async throws {
        try await RelayFixture.with { relay in
            let port = try ReservedPort()
            for status in [0, 4] as [Int32] {
                let end = try await relay.exec(["sh", "-c", "exit \(status)"], ports: [port.number], drainTimeout: 0.5)
                #expect(end.status == .exited(status), "\(end.errorText)")
                #expect(end.errorText.contains("The outcome was NOT delivered"), "\(end.errorText)")
                #expect(end.errorText.contains("127.0.0.1 port \(port.number): Connection refused"), "\(end.errorText)")
            }
        }
    }

    @Test("A signal after the command's end stops the wait for a conductor")
    func signalWhileWaiting() async throws {
        try await RelayFixture.with { relay in
            let port = try ReservedPort()
            let environment = ["GUEST_AGENT_LOG_LEVEL": "debug"]
            let end = try await relay.exec(
                ["true"], ports: [port.number], drainTimeout: 3600, environment: environment
            ) { agent in
                // Logged when the command has ended. A signal within the next second may have been meant for it.
                try await agent.standardError.line(containing: "graceful shutdown")
                while !agent.standardError.isEnded {
                    try? agent.send(.terminate)
                    try await Task.sleep(for: .milliseconds(50))
                }
            }
            #expect(end.status == .exited(0), "\(end.errorText)")
            #expect(end.errorText.contains("The outcome was NOT delivered"), "\(end.errorText)")
        }
    }

    @Test("exec uses the second conductor when the first is down")
    func secondConductor() async throws {
        try await RelayFixture.with { relay in
            let down = try ReservedPort()
            try await relay.withConductor { conductor in
                let end = try await relay.exec(["true"], ports: [down.number, conductor.port])
                #expect(end.status == .exited(0), "\(end.errorText)")
                #expect(!end.errorText.contains("NOT delivered"), "\(end.errorText)")
                _ = try await conductor.notification(of: "dbaas.database_create.end")
                #expect(try conductor.notifications().count == 1)
            }
        }
    }

    @Test("An interrupt typed at a terminal reaches the command once")
    func terminalInterrupt() async throws {
        try await RelayFixture.with { relay in
            try await relay.withConductor { conductor in
                let (file, context) = (try relay.guestFile(ports: [conductor.port]), try relay.contextFile())
                let command = try relay.write(
                    """
                    import os, signal
                    count = 0
                    def interrupted(*_):
                        global count
                        count += 1
                        print("interrupted", flush=True)
                    def asked(*_):
                        print("in all", count, flush=True)
                        raise SystemExit(6)
                    signal.signal(signal.SIGINT, interrupted)
                    signal.signal(signal.SIGUSR1, asked)
                    print("agent", os.getppid(), flush=True)
                    while True:
                        signal.pause()

                    """, to: "command.py")
                let arguments = [
                    Program.guestAgent.path, "exec", "--config", file, "--context", context, "--", "python3", command,
                ]
                // The interrupt would end a shell that stayed, and `script` with it.
                let end = try await Program("script").run([
                    "--quiet", "--return", "--command", "exec " + arguments.joined(separator: " "), "/dev/null",
                ]) { terminal in
                    let line = try await terminal.standardOutput.line(containing: "agent")
                    let agent = try #require(Int32(line.filter(\.isNumber)))
                    try await terminal.write("\u{3}")
                    try await terminal.standardOutput.line(containing: "interrupted")
                    // The agent forwards this signal after all earlier ones.
                    kill(agent, SIGUSR1)
                    try await terminal.standardOutput.line(containing: "in all")
                }
                #expect(end.status == .exited(6), "\(end.standardOutput)")
                #expect(end.standardOutput.contains { $0.contains("in all 1") }, "\(end.standardOutput)")
            }
        }
    }
}
