// SPDX-License-Identifier: Apache-2.0

import Foundation
import Subprocess
import Testing

@Suite("guest-agent exec: a command's outcome", .timeLimit(.minutes(2)))
struct GuestAgentExecTests {
    @Test("Exit status 0 leads to an end event with the context's fields")
    func success() async throws {
        try await RelayFixture.with { relay in
            try await relay.withConductor { conductor in
                let end = try await relay.exec(["sh", "-c", "echo done; echo careful >&2"], ports: [conductor.port])
                #expect(end.status == .exited(0), "\(end.errorText)")
                #expect(end.standardOutput == ["done"])
                #expect(end.standardError == ["careful"])
                let notification = try await conductor.notification(of: "dbaas.database_create.end")
                #expect(notification.priority == "INFO")
                #expect(notification.object["publisher_id"] as? String == "conductor.edge-1")
                #expect(notification.payload["tenant_id"] as? String == "tenant-1")
                #expect(notification.payload["user_id"] as? String == "user-1")
                #expect(notification.payload["client_ip"] as? String == "10.1.2.3")
                #expect(notification.payload["request_id"] as? String == "req-1")
                #expect(notification.payload["server_type"] as? String == "conductor")
                #expect(notification.payload["server_ip"] as? String == "127.0.0.1:\(conductor.port)")
                #expect(notification.payload["dbname"] as? String == "shop")
                #expect(notification.payload["exception"] == nil)
                #expect(try conductor.notifications().count == 1)
            }
        }
    }

    @Test("A failed command keeps its status, and its error event has the last standard error lines")
    func failure() async throws {
        try await RelayFixture.with { relay in
            try await relay.withConductor { conductor in
                let end = try await relay.exec(
                    ["sh", "-c", "seq 1 100 >&2; echo 'disk full' >&2; exit 7"], ports: [conductor.port])
                #expect(end.status == .exited(7), "\(end.errorText)")
                #expect(end.standardError.count == 101)
                #expect(end.standardError.last == "disk full")
                let notification = try await conductor.notification(of: "dbaas.database_create.error")
                #expect(notification.priority == "ERROR")
                #expect(notification.message == "disk full")
                #expect(notification.exception.last == "CommandFailed: disk full")
                #expect(notification.exception.dropLast().last == "sh ended with exit status 7")
                #expect(notification.exception.contains("100") && !notification.exception.contains("1"))
                #expect(try conductor.notifications().count == 1)
            }
        }
    }

    @Test("A command that a signal ends leads to status 128 plus the signal and to an error event")
    func killedCommand() async throws {
        try await RelayFixture.with { relay in
            try await relay.withConductor { conductor in
                let end = try await relay.exec(["sh", "-c", "kill -KILL $$"], ports: [conductor.port])
                #expect(end.status == .exited(128 + 9), "\(end.errorText)")
                let notification = try await conductor.notification(of: "dbaas.database_create.error")
                #expect(notification.message == "sh was ended by signal 9")
                #expect(notification.exception.last == "CommandKilled: sh was ended by signal 9")
            }
        }
    }

    @Test("A missing command ends with 127, an unusable one with 126, and both are errors")
    func commandNotRun() async throws {
        try await RelayFixture.with { relay in
            let plain = try relay.write("not a program\n", to: "plain")
            try await relay.withConductor { conductor in
                for (command, status, etype) in [
                    ("no-such-command", 127, "CommandNotFound"), (relay.path("nothing"), 127, "CommandNotFound"),
                    (plain, 126, "CommandNotStarted"),
                ] as [(String, Int32, String)] {
                    let before = try conductor.notifications().count
                    let end = try await relay.exec([command], ports: [conductor.port])
                    #expect(end.status == .exited(status), "\(command)")
                    #expect(end.errorText.contains(command))
                    try await conductor.program.standardOutput.line(containing: ".error", count: before + 1)
                    let notification = try #require(try conductor.notifications().last)
                    #expect(notification.exception.last?.hasPrefix(etype) == true, "\(notification.exception)")
                }
            }
        }
    }

    @Test("exec does not wait for a daemon that holds standard error open")
    func daemon() async throws {
        try await RelayFixture.with { relay in
            try await relay.withConductor { conductor in
                // The shell writes the daemon's process id to a file, so that the test can end the daemon.
                let daemon = "sleep 300 </dev/null >/dev/null & echo $! >$0; echo started >&2"
                let end = try await relay.exec(["sh", "-c", daemon, relay.path("pid")], ports: [conductor.port])
                let identifier = try String(contentsOfFile: relay.path("pid"), encoding: .utf8)
                    .trimmingCharacters(in: .whitespacesAndNewlines)
                let killed = try await Program("kill").run([identifier])
                #expect(killed.status == .exited(0), "the daemon should have outlived exec")
                #expect(end.status == .exited(0), "\(end.errorText)")
                #expect(end.standardError == ["started"])
                _ = try await conductor.notification(of: "dbaas.database_create.end")
                #expect(try conductor.notifications().count == 1)
            }
        }
    }

    @Test("The command reads the standard input of exec")
    func standardInput() async throws {
        try await RelayFixture.with { relay in
            try await relay.withConductor { conductor in
                let end = try await relay.exec(["cat"], ports: [conductor.port]) { program in
                    try await program.write("one")
                    try await program.standardOutput.line(containing: "one")
                    try await program.write("two")
                }
                #expect(end.status == .exited(0), "\(end.errorText)")
                #expect(end.standardOutput == ["one", "two"])
            }
        }
    }

    @Test("The fields in the command's end fields file are published in the end event")
    func endFields() async throws {
        try await RelayFixture.with { relay in
            let context = try relay.contextFile(
                operation: "backup_create",
                payload: #"{"name": "b", "instance_id": "guest-1", "description": "d", "parent_id": "p"}"#)
            try await relay.withConductor { conductor in
                let command = #"echo '{"backup_id": "backup-9"}' >"$GUEST_AGENT_END_FIELDS""#
                let end = try await relay.exec(["sh", "-c", command], ports: [conductor.port], context: context)
                #expect(end.status == .exited(0), "\(end.errorText)")
                let notification = try await conductor.notification(of: "dbaas.backup_create.end")
                #expect(notification.payload["backup_id"] as? String == "backup-9")
            }
        }
    }

    @Test("A failed command's end fields file adds fields to the error event")
    func errorFields() async throws {
        try await RelayFixture.with { relay in
            let context = try relay.contextFile(
                operation: "instance_create",
                payload: #"{"name": "n", "flavor": "1", "datastore": "mysql", "datastore_version": "8"}"#)
            try await relay.withConductor { conductor in
                let command = #"echo '{"backup_id": "half-made"}' >"$GUEST_AGENT_END_FIELDS"; exit 4"#
                let end = try await relay.exec(["sh", "-c", command], ports: [conductor.port], context: context)
                #expect(end.status == .exited(4), "\(end.errorText)")
                let notification = try await conductor.notification(of: "dbaas.instance_create.error")
                #expect(notification.payload["backup_id"] as? String == "half-made")
                #expect(notification.payload["instance_id"] as? String == "guest-1", "the certificate names it")
            }
        }
    }

    @Test(
        "An invalid context ends exec with 78, and the command is not run",
        arguments: ["{", "[]", #"{"operation": "database_create"}"#, nil])
    func invalidContext(_ text: String?) async throws {
        try await RelayFixture.with { relay in
            let context = try text.map { try relay.write($0, to: "context.json") } ?? relay.path("missing.json")
            let end = try await relay.exec(["touch", relay.path("ran")], ports: ["1"], context: context)
            #expect(end.status == .exited(78), "\(end.errorText)")
            #expect(end.errorText.contains("--context"))
            #expect(end.errorText.contains(context))
            #expect(end.standardError.count == 1)
            #expect(!FileManager.default.fileExists(atPath: relay.path("ran")))
        }
    }

    @Test("Invalid settings end exec with 78 and are named, and the command is not run")
    func invalidSettings() async throws {
        try await RelayFixture.with { relay in
            let (file, context) = (try relay.guestFile(ports: ["1"]), try relay.contextFile())
            for (setting, value) in [
                ("conductors", "a b:1"), ("tls.key", relay.path("missing")), ("tls.ca", relay.path("tls/ca.key")),
                ("tls.key", relay.path("tls/ca.key")), ("delivery.window", "many"),
            ] {
                let end = try await Program.guestAgent.run([
                    "exec", "--config", file, "--context", context, "--set", "\(setting)=\(value)", "--", "touch",
                    relay.path("ran"),
                ])
                #expect(end.status == .exited(78), "\(end.errorText)")
                #expect(end.errorText.hasPrefix("guest-agent: \(setting)"), "\(end.errorText)")
                #expect(end.standardError.count == 1, "\(end.errorText)")
                #expect(!FileManager.default.fileExists(atPath: relay.path("ran")))
            }
        }
    }
}
