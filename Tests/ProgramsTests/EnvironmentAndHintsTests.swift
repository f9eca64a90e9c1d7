// SPDX-License-Identifier: Apache-2.0

import Foundation
import Subprocess
import Testing

/// The environment and the command line of both programs.
@Suite("Both programs: environment, hints, addresses", .timeLimit(.minutes(2)))
struct EnvironmentAndHintsTests {
    /// Returns the variables that Kubernetes sets for a service of this name.
    private static func service(_ name: String) -> [String: String] {
        [
            "\(name)_SERVICE_HOST": "10.0.0.2", "\(name)_SERVICE_PORT": "9100", "\(name)_SERVICE_PORT_METRICS": "9100",
            "\(name)_PORT": "tcp://10.0.0.2:9100", "\(name)_PORT_9100_TCP": "tcp://10.0.0.2:9100",
            "\(name)_PORT_9100_TCP_PROTO": "tcp", "\(name)_PORT_9100_TCP_PORT": "9100",
            "\(name)_PORT_9100_TCP_ADDR": "10.0.0.2",
        ]
    }

    @Test("Both programs start next to Kubernetes services whose names resemble theirs")
    func kubernetesServices() async throws {
        try await RelayFixture.with { relay in
            let file = try relay.conductorFile()
            for name in ["CONDUCTOR", "CONDUCTOR_METRICS", "CONDUCTOR_LISTEN"] {
                let end = try await Program.conductor.run(
                    ["check-config", "--config", file], environment: Self.service(name))
                #expect(end.status == .exited(0), "\(name): \(end.errorText)")
            }
            _ = try await Program.conductor.run(["serve", "--config", file], environment: Self.service("CONDUCTOR")) {
                _ = try await relay.listening($0)
                try $0.send(.terminate)
            }
            try FileManager.default.createDirectory(atPath: relay.spoolDirectory, withIntermediateDirectories: true)
            let guest = try relay.guestFile(ports: ["1"])
            for name in ["GUEST_AGENT", "GUEST_AGENT_SPOOL"] {
                let end = try await Program.guestAgent.run(
                    ["status", "--config", guest], environment: Self.service(name))
                #expect(end.status == .exited(0), "\(name): \(end.errorText)")
            }
            // A variable that names no setting is still rejected.
            for (program, arguments, variable) in [
                (Program.conductor, ["check-config", "--config", file], "CONDUCTOR_LISTEN_PROT"),
                (Program.conductor, ["check-config", "--config", file], "CONDUCTOR_PORT"),
                (Program.guestAgent, ["status", "--config", guest], "GUEST_AGENT_CONDUCTOR"),
            ] {
                let end = try await program.run(arguments, environment: [variable: "8790"])
                #expect(end.status == .exited(78) && end.errorText.contains(variable), "\(end.errorText)")
            }
        }
    }

    @Test("The hints for required settings work as flags once their placeholders are replaced")
    func settingHints() async throws {
        try await RelayFixture.with { relay in
            let words = [
                "tls.certificate": relay.path("tls/conductor.pem"), "tls.key": relay.path("tls/conductor.key"),
                "tls.guest_ca": relay.path("tls/ca.pem"), "tls.ca": relay.path("tls/ca.pem"),
                "conductors": "127.0.0.1:1",
            ]
            let context = try relay.contextFile()
            for (program, command, rest, count) in [
                (Program.conductor, "check-config", [], 4),
                (.guestAgent, "exec", ["--context", context, "--", "true"], 4),
            ] as [(Program, String, [String], Int)] {
                let end = try await program.run([command] + rest)
                #expect(end.status == .exited(78), "\(end.errorText)")
                let flags = end.standardError.compactMap { line in
                    line.firstMatch(of: /by the flag (--set ([a-z._]+)=([A-Za-z0-9:]+))\.$/)?.output
                }
                #expect(flags.count == count && flags.count == end.standardError.count, "\(end.errorText)")
                var words = words
                if command == "exec" {
                    words["tls.certificate"] = relay.path("tls/guest-guest-1.pem")
                    words["tls.key"] = relay.path("tls/guest-guest-1.key")
                }
                var arguments: [String] = []
                for (_, _, name, value) in flags {
                    arguments += ["--set", "\(name)=\(words[String(name)] ?? String(value))"]
                    if words[String(name)] != nil { #expect(value == (name == "conductors" ? "HOST:PORT" : "FILE")) }
                }
                let more =
                    command == "exec"
                    ? ["--set", "delivery.drain_timeout=0", "--set", "spool.directory=\(relay.spoolDirectory)"] : []
                let pasted = try await program.run([command] + arguments + more + rest)
                #expect(pasted.status == .exited(0), "\(pasted.errorText)")
            }
        }
    }

    @Test(
        "A secret on the command line is rejected, because every user could read it",
        arguments: ["serve", "check-config"])
    func secretFlag(command: String) async throws {
        try await RelayFixture.with { relay in
            let file = try relay.conductorFile(drivers: "messagingv2")
            let end = try await Program.conductor.run([
                command, "--config", file, "--set", "messaging.transport_url=rabbit://u:hunter2@127.0.0.1/",
            ])
            #expect(end.status == .exited(78) && end.standardError.count == 1, "\(end.errorText)")
            #expect(end.errorText.contains("every user of this machine can read a command line"), "\(end.errorText)")
            #expect(end.errorText.contains("CONDUCTOR_MESSAGING_TRANSPORT_URL") && !end.errorText.contains("hunter2"))
        }
    }

    @Test("With listen.host *, serve listens on all addresses and logs 0.0.0.0")
    func listenOnAllAddresses() async throws {
        try await RelayFixture.with { relay in
            let file = try relay.conductorFile()
            _ = try await Program.conductor.run(["serve", "--config", file, "--set", "listen.host=*"]) { program in
                let line = try await program.standardError.line(containing: "address=0.0.0.0:")
                let port = try #require(line.firstMatch(of: /address=0\.0\.0\.0:(\d+)/)?.output.1)
                try await relay.withTerminal(port: String(port)) { guest in
                    try await guest.write(#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#)
                    _ = try await guest.standardOutput.line(containing: "version")
                }
                try program.send(.terminate)
            }
        }
    }

    @Test(
        "An invalid listen.host is rejected with the expected form",
        arguments: ["127.0.0.1:8790", "[::1]:8790", "[*]", "*.example", "tcp://edge", "10.1"])
    func invalidListenHost(host: String) async throws {
        try await RelayFixture.with { relay in
            let file = try relay.conductorFile()
            for command in ["serve", "check-config"] {
                let end = try await Program.conductor.run([command, "--config", file, "--set", "listen.host=\(host)"])
                #expect(end.status == .exited(78), "\(end.errorText)")
                let sentence = end.standardError.last { $0.hasPrefix("conductor: ") }
                #expect(sentence?.hasPrefix("conductor: listen.host must be") == true, "\(end.errorText)")
            }
        }
    }

    @Test(
        "An invalid conductor address is rejected with the expected form",
        arguments: ["*", "*:8790", "[conductor.example]:8790"])
    func invalidConductor(address: String) async throws {
        try await RelayFixture.with { relay in
            let file = try relay.guestFile(ports: ["1"])
            let end = try await Program.guestAgent.run([
                "exec", "--config", file, "--set", "conductors=\(address)", "--context", try relay.contextFile(), "--",
                "true",
            ])
            #expect(end.status == .exited(78), "\(end.errorText)")
            #expect(end.errorText.contains("conductors: entry 1 is no address; write host:port or [ipv6]:port"))
        }
    }
}
