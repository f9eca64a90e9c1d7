// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import ProcessTesting
import Subprocess
import Testing

@Suite("guest-agent exec: behaviour as a wrapper", .timeLimit(.minutes(2)))
struct GuestAgentWrapperTests {
    /// Returns the arguments of an `exec` that reports to this conductor, up to the `--`.
    private func exec(_ relay: RelayFixture, port: String, drainTimeout: Double = 30) throws -> [String] {
        let file = try relay.guestFile(ports: [port], drainTimeout: drainTimeout)
        return [Program.guestAgent.path, "exec", "--config", file, "--context", try relay.contextFile(), "--"]
    }

    /// Runs exec, lets the command's child continue once exec has ended, and waits until standard error is closed.
    private func runAndRelease(_ relay: RelayFixture, _ arguments: [String]) async throws -> ProgramEnd {
        let script = #"cd "$1"; shift; mkfifo go; { "$@"; echo "ended $?"; echo go >go; } 2>&1 | cat"#
        return try await Program("sh").run(["-c", script, "sh", relay.directory.path] + arguments)
    }

    @Test("A child that the command leaves behind can write to standard error after exec has ended")
    func survivingChild() async throws {
        try await RelayFixture.with { relay in
            try await relay.withConductor { conductor in
                let child = "(read line <go; seq 1 30000 >&2; echo later >&2) & exit 0"
                let end = try await self.runAndRelease(
                    relay, try self.exec(relay, port: conductor.port) + ["sh", "-c", child])
                #expect(end.standardOutput.first == "ended 0", "\(end.standardOutput.prefix(5))")
                #expect(end.standardOutput.count == 30002)
                #expect(end.standardOutput.last == "later")
                _ = try await conductor.notification(of: "dbaas.database_create.end")
            }
        }
    }

    @Test("A command whose exec is killed can still write to standard error")
    func killedAgent() async throws {
        try await RelayFixture.with { relay in
            let prefix = try relay.execWithoutNotification()
            let end = try await self.runAndRelease(
                relay, prefix + ["sh", "-c", "kill -KILL $PPID; read line <go; echo later >&2"])
            #expect(end.standardOutput.contains("ended 137"), "\(end.standardOutput)")
            #expect(end.standardOutput.last == "later")
        }
    }

    @Test("A FIFO in the place of the end fields file delays neither the outcome nor exec")
    func fifoAsEndFields() async throws {
        try await RelayFixture.with { relay in
            try await relay.withConductor { conductor in
                let end = try await relay.exec(
                    ["sh", "-c", #"mkfifo "$GUEST_AGENT_END_FIELDS""#], ports: [conductor.port])
                #expect(end.status == .exited(0), "\(end.errorText)")
                #expect(end.errorText.contains("GUEST_AGENT_END_FIELDS names is not a regular file; it is ignored"))
                _ = try await conductor.notification(of: "dbaas.database_create.end")
            }
        }
    }

    @Test("A command without privileges can set end fields, and a symbolic link is ignored")
    func unprivilegedCommand() async throws {
        try await RelayFixture.with { relay in
            let context = try relay.contextFile(
                operation: "backup_create",
                payload: #"{"name": "b", "instance_id": "guest-1", "description": "d", "parent_id": "p"}"#)
            let secret = try relay.write(#"{"backup_id": "secret"}"#, to: "secret")
            try await relay.withConductor { conductor in
                let drop = geteuid() == 0 ? ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] : []
                let good =
                    #"echo '{"backup_id": "b-1"}' >"$GUEST_AGENT_END_FIELDS.part"; mv "$GUEST_AGENT_END_FIELDS.part" "$GUEST_AGENT_END_FIELDS""#
                let end = try await relay.exec(drop + ["sh", "-c", good], ports: [conductor.port], context: context)
                #expect(end.status == .exited(0), "\(end.errorText)")
                let notification = try await conductor.notification(of: "dbaas.backup_create.end")
                #expect(notification.payload["backup_id"] as? String == "b-1")
                let link = try await relay.exec(
                    drop + ["sh", "-c", #"ln -s "$0" "$GUEST_AGENT_END_FIELDS"; exit 3"#, secret],
                    ports: [conductor.port],
                    context: context)
                #expect(link.status == .exited(3))
                #expect(link.errorText.contains("is a symbolic link"), "\(link.errorText)")
                let error = try await conductor.notification(of: "dbaas.backup_create.error")
                #expect(error.payload["backup_id"] == nil)
            }
        }
    }

    @Test("The command runs even if no file for end fields can be created")
    func missingTemporaryDirectory() async throws {
        try await RelayFixture.with { relay in
            let arguments = try relay.execWithoutNotification()
            let end = try await Program(arguments[0]).run(
                Array(arguments.dropFirst()) + ["sh", "-c", "echo text >$GUEST_AGENT_END_FIELDS; echo done"],
                environment: ["TMPDIR": relay.path("none")])
            #expect(end.status == .exited(0), "\(end.errorText)")
            #expect(end.standardOutput == ["done"])
            #expect(end.errorText.contains("The command can set no end fields"), "\(end.errorText)")
        }
    }

    @Test("A script without #! runs, and a failed start has env's status and a sentence for its cause")
    func scripts() async throws {
        try await RelayFixture.with { relay in
            func script(_ text: String, _ name: String, mode: Int = 0o755) throws -> String {
                let path = try relay.write(text, to: name)
                try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
                return path
            }
            let cases = [
                (try script("echo \"$1\" from a script\n", "plain"), ""),
                (try script("#!/bin/sh\r\necho hi\r\n", "windows"), "has Windows line endings"),
                (try script("#!/none/python2\n", "old"), "the interpreter /none/python2, which does not exist"),
                (try script("#!/bin/sh\n", "mode", mode: 0o644), "chmod +x"), (relay.directory.path, "is a directory"),
                (relay.path("none"), "was not found: correct the path"), ("no-such-command", "was not found in PATH"),
            ]
            for (command, sentence) in cases {
                let direct = try await Program("env").run([command, "one"])
                let end = try await relay.execWithoutNotification(command: [command, "one"])
                #expect(end.status == direct.status, "\(command)")
                #expect(end.standardOutput == direct.standardOutput)
                #expect(sentence.isEmpty || end.errorText.contains(sentence), "\(end.errorText)")
                #expect(end.standardError.count == (sentence.isEmpty ? 1 : 2), "\(end.errorText)")
            }
        }
    }

    @Test("A limit without room for threads or descriptors ends exec with 75 before the command runs")
    func tooLowLimits() async throws {
        try await RelayFixture.with { relay in
            let prefix = try relay.execWithoutNotification()
            for limit in ["--nproc=1", "--nproc=4", "--nofile=6", "--nofile=12", "--nofile=24"] {
                let arguments = [limit] + prefix + ["touch", relay.path("ran")]
                // Root has no limit of processes.
                let end: ProgramEnd
                if limit.hasPrefix("--nproc") {
                    end = try await Unprivileged.program(Program("prlimit"), in: relay).run(
                        Unprivileged.arguments(Program("prlimit"), arguments))
                } else {
                    end = try await Program("prlimit").run(arguments)
                }
                #expect(end.status == .exited(75), "\(limit): \(end.errorText)")
                #expect(end.standardError.count == 1, "\(end.errorText)")
                #expect(end.errorText.contains("raise the limit"), "\(end.errorText)")
                #expect(end.errorText.hasSuffix("The command was not run."), "\(end.errorText)")
                #expect(!FileManager.default.fileExists(atPath: relay.path("ran")))
            }
        }
    }

    @Test("Under a range of descriptor limits, exec prints correctly whether the command ran")
    func descriptorLimits() async throws {
        try await RelayFixture.with { relay in
            let prefix = try self.exec(relay, port: "1", drainTimeout: 0)
            for limit in stride(from: 30, through: 60, by: 3) {
                let ran = relay.path("ran-\(limit)")
                let end = try await Program("prlimit").run(["--nofile=\(limit)"] + prefix + ["touch", ran])
                let hasRun = FileManager.default.fileExists(atPath: ran)
                #expect(end.status == .exited(hasRun ? 0 : 75), "\(limit): \(end.errorText)")
                #expect(end.errorText.contains("was not run") != hasRun, "\(limit): \(end.errorText)")
            }
        }
    }

    @Test("A signal while exec waits for its context ends it as any other program")
    func earlySignal() async throws {
        try await RelayFixture.with { relay in
            try #require(mkfifo(relay.path("fifo"), 0o600) == 0)
            var arguments = try relay.execWithoutNotification()
            arguments[5] = relay.path("fifo")
            let end = try await Program(arguments[0]).run(Array(arguments.dropFirst()) + ["true"]) { agent in
                while !agent.standardError.isEnded {
                    try? agent.send(.terminate)
                    try await Task.sleep(for: .milliseconds(20))
                }
            }
            #expect(end.status == .signaled(SIGTERM))
        }
    }

    @Test("Terminal escapes reach the terminal but not the control plane")
    func terminalEscapes() async throws {
        try await RelayFixture.with { relay in
            try await relay.withConductor { conductor in
                let command = #"printf '\033[31mERROR\033[0m: \033]0;title\007disk full\n' >&2; exit 1"#
                let end = try await relay.exec(["sh", "-c", command], ports: [conductor.port])
                #expect(end.standardError == ["\u{1B}[31mERROR\u{1B}[0m: \u{1B}]0;title\u{07}disk full"])
                let notification = try await conductor.notification(of: "dbaas.database_create.error")
                #expect(notification.message == "ERROR: disk full")
                #expect(notification.exception.last == "CommandFailed: ERROR: disk full")
            }
        }
    }

    @Test("exec prints the conductor it waits for, and a flush command that delivers the outcome as printed")
    func waitingForConductor() async throws {
        try await RelayFixture.with { relay in
            let port = try ReservedPort()
            let arguments = try self.exec(relay, port: port.number, drainTimeout: 3600)
            let end = try await Program("setsid").run(arguments + ["true"]) { agent in
                let line = try await agent.standardError.line(containing: "Waiting for a conductor")
                #expect(line.contains("\(relay.spoolDirectory)/exec-1 holds, for at most 3597 seconds more"), "\(line)")
                #expect(line.contains("127.0.0.1 port \(port.number): Connection refused"), "\(line)")
                while !agent.standardError.isEnded {
                    try? agent.send(.terminate)
                    try await Task.sleep(for: .milliseconds(50))
                }
            }
            #expect(end.status == .exited(0), "\(end.errorText)")
            let hint = try #require(
                end.errorText.firstMatch(of: /message [-0-9a-f]+; `(.*)` or the next exec delivers it/)?.output.1)
            #expect(hint == "\(Program.guestAgent.path) flush --config \(arguments[3])")
            let early = try await Program("sh").run(["-c", "\(hint) --timeout 4"])
            #expect(early.status == .exited(75), "\(early.errorText)")
            #expect(early.standardOutput == ["0 delivered, 1 waiting, 0 set aside."])
            #expect(early.errorText.contains("Waiting for a conductor"), "\(early.errorText)")
            try await relay.withConductor(port: port.number) { conductor in
                let flush = try await Program("sh").run(["-c", String(hint)])
                #expect(flush.status == .exited(0), "\(flush.errorText)")
                #expect(flush.standardOutput == ["1 delivered, 0 waiting, 0 set aside."])
                _ = try await conductor.notification(of: "dbaas.database_create.end")
            }
        }
    }

    @Test("A hangup that the caller ignores does not end the wait of flush")
    func ignoredHangup() async throws {
        try await RelayFixture.with { relay in
            let port = try ReservedPort()
            let exec = try self.exec(relay, port: port.number, drainTimeout: 0) + ["true"]
            #expect(try await Program(exec[0]).run(Array(exec.dropFirst())).status == .exited(0))
            let start = ContinuousClock.now
            let end = try await Program("sh").run([
                "-c", #"trap "" HUP; exec "$@""#, "sh", Program.guestAgent.path, "flush", "--config", exec[3],
                "--timeout", "6",
            ]) { flush in
                try await flush.standardError.line(containing: "Waiting for a conductor")
                try flush.send(.terminalClosed)
            }
            #expect(end.status == .exited(75), "\(end.errorText)")
            #expect(start.duration(to: .now) >= .seconds(6))
        }
    }
}

extension RelayFixture {
    /// Runs a command under an `exec` that reports nothing.
    fileprivate func execWithoutNotification(command: [String]) async throws -> ProgramEnd {
        let arguments = try self.execWithoutNotification()
        return try await Program(arguments[0]).run(Array(arguments.dropFirst()) + command)
    }
}
