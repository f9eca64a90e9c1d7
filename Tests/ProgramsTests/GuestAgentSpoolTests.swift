// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import ProcessTesting
import Subprocess
import Testing

@Suite("guest-agent: stored outcomes", .timeLimit(.minutes(2)))
struct GuestAgentSpoolTests {
    /// Returns the totals of all spools from `guest-agent status --json`.
    private func total(_ relay: RelayFixture) async throws -> [String: Any] {
        try #require(try await self.status(relay)["total"] as? [String: Any])
    }

    private func status(_ relay: RelayFixture) async throws -> [String: Any] {
        let end = try await relay.guestAgent(["status", "--json"])
        try #require(end.status == .exited(0), "\(end.errorText)")
        return try Notification(try #require(end.standardOutput.first)).object
    }

    /// Returns the message id that `exec` has printed.
    private func messageID(_ end: ProgramEnd) throws -> String {
        String(try #require(end.errorText.firstMatch(of: /message ([0-9a-f-]{36})/)?.output.1, "\(end.errorText)"))
    }

    @Test("An undelivered outcome waits, is shown, and is delivered by flush with the same message id")
    func undeliveredOutcome() async throws {
        try await RelayFixture.with { relay in
            let port = try ReservedPort()
            let end = try await relay.exec(["true"], ports: [port.number], drainTimeout: 0.2)
            #expect(end.status == .exited(0), "\(end.errorText)")
            #expect(end.errorText.contains("stored in \(relay.spoolDirectory)/exec-1"), "\(end.errorText)")
            let id = try self.messageID(end)
            let total = try await self.total(relay)
            #expect(total["waiting"] as? Int == 1 && total["balanced"] as? Bool == true, "\(total)")
            let text = try await relay.guestAgent(["status"])
            #expect(text.standardOutput.joined().contains("1 outcome waiting for a conductor, the oldest since 20"))

            let early = try await relay.guestAgent(["flush", "--timeout", "0.2"], ports: [port.number])
            #expect(early.status == .exited(75), "\(early.errorText)")
            #expect(early.standardOutput == ["0 delivered, 1 waiting, 0 set aside."])
            try await relay.withConductor { conductor in
                let late = try await relay.guestAgent(["flush"], ports: [conductor.port])
                #expect(late.status == .exited(0), "\(late.errorText)")
                #expect(late.standardOutput == ["1 delivered, 0 waiting, 0 set aside."])
                #expect(try await conductor.notification(of: "dbaas.database_create.end").messageID == id)
                let again = try await relay.guestAgent(["flush"], ports: [conductor.port])
                #expect(again.status == .exited(0) && again.standardOutput.first?.hasPrefix("0 delivered") == true)
                #expect(try conductor.notifications().count == 1)
            }
            let done = try await self.total(relay)
            #expect(done["waiting"] as? Int == 0 && done["delivered"] as? Int == 1, "\(done)")
            #expect(done["balanced"] as? Bool == true)
        }
    }

    @Test("Two concurrent commands have a spool each, and flush skips a running agent's spool")
    func concurrentCommands() async throws {
        try await RelayFixture.with { relay in
            try await relay.withConductor { conductor in
                let wait = ["sh", "-c", "echo ready; read line; exit 3"]
                let first = try await relay.exec(wait, ports: [conductor.port]) { agent in
                    try await agent.standardOutput.line(containing: "ready")
                    let second = try await relay.exec(["true"], ports: [conductor.port])
                    #expect(second.status == .exited(0) && second.standardError.isEmpty, "\(second.errorText)")

                    let spools = try #require(try await self.status(relay)["spools"] as? [[String: Any]])
                    try #require(spools.count == 2)
                    #expect(spools[0]["process"] as? Int == Int(agent.identifier), "\(spools)")
                    #expect(spools[0]["running"] as? Int == 1 && spools[0]["in_use"] as? Bool == true)
                    #expect(spools[1]["delivered"] as? Int == 1 && spools[1]["in_use"] as? Bool == false)
                    let flush = try await relay.guestAgent(["flush"], ports: [conductor.port])
                    #expect(flush.status == .exited(0), "\(flush.errorText)")
                    #expect(flush.errorText.contains("process \(agent.identifier) delivers its outcomes"))
                    try await agent.write("go")
                }
                #expect(first.status == .exited(3), "\(first.errorText)")
                _ = try await conductor.notification(of: "dbaas.database_create.error")
                #expect(try conductor.notifications().count == 2)
            }
            let total = try await self.total(relay)
            #expect(total["begun"] as? Int == 2 && total["delivered"] as? Int == 2, "\(total)")
        }
    }

    @Test("The next exec or flush reports the outcome of an agent that was killed", arguments: ["exec", "flush"])
    func killedAgent(remedy: String) async throws {
        try await RelayFixture.with { relay in
            try await relay.withConductor { conductor in
                // The command ends with its standard input, which the test closes.
                let end = try await relay.exec(["sh", "-c", "echo ready; read line"], ports: [conductor.port]) {
                    agent in
                    try await agent.standardOutput.line(containing: "ready")
                    try agent.send(.kill)
                }
                #expect(end.status == .signaled(SIGKILL))
                let status = try await relay.guestAgent(["status"])
                #expect(status.standardOutput.joined().contains("their agent has ended"), "\(status.standardOutput)")
                #expect(try await self.total(relay)["running"] as? Int == 1)
                let next =
                    remedy == "exec"
                    ? try await relay.exec(["true"], ports: [conductor.port])
                    : try await relay.guestAgent(["flush"], ports: [conductor.port])
                #expect(next.status == .exited(0), "\(next.errorText)")
                let notification = try await conductor.notification(of: "dbaas.database_create.error")
                #expect(notification.exception.last?.hasPrefix("OperationInterrupted") == true, "\(notification)")
                #expect(try conductor.notifications().count == (remedy == "exec" ? 2 : 1))
            }
        }
    }

    @Test("A rejected outcome is listed and shown, and delivered by a retry when its event is known")
    func rejectedOutcome() async throws {
        try await RelayFixture.with { relay in
            let context = try relay.contextFile(operation: "magnetodb.data.putitem", payload: "{}")
            let end = try await relay.refusedExec(context)
            let id = try self.messageID(end)
            #expect(end.errorText.contains("REFUSED"), "\(end.errorText)")

            let list = try await relay.guestAgent(["spool", "list", "--set-aside"])
            #expect(list.standardOutput.count == 1 && list.standardOutput.first?.hasPrefix("\(id) set_aside") == true)
            #expect(try await relay.guestAgent(["spool", "list", "--waiting"]).standardOutput.isEmpty)
            let lines = try await relay.guestAgent(["spool", "list", "--json"]).standardOutput
            #expect(
                try Notification(try #require(lines.first)).object["operation"] as? String == "magnetodb.data.putitem")
            let show = try await relay.guestAgent(["spool", "show", id])
            let shown = try Notification(show.standardOutput.joined(separator: "\n")).object
            #expect(shown["reason"] as? String != nil && shown["method"] as? String == "notify_end", "\(shown)")
            #expect((shown["params"] as? [String: Any])?["message_id"] as? String == id)
            #expect(try await self.total(relay)["set_aside"] as? Int == 1)

            let retry = try await relay.guestAgent(["spool", "retry", id])
            #expect(retry.status == .exited(0) && retry.standardOutput == ["1 outcome put back."], "\(retry.errorText)")
            let catalogue = URL(filePath: #filePath).appending(path: "../../../deploy/catalogues/magnetodb.yaml")
                .standardizedFileURL.path
            try await relay.withConductor(more: "catalogue: {files: [\(catalogue)]}") { conductor in
                let flush = try await relay.guestAgent(["flush"], ports: [conductor.port])
                #expect(flush.standardOutput == ["1 delivered, 0 waiting, 0 set aside."], "\(flush.errorText)")
                #expect(try await conductor.notification(of: "magnetodb.data.putitem").messageID == id)
            }
            let again = try await relay.guestAgent(["spool", "retry", id])
            #expect(again.status == .exited(65) && again.errorText.contains(id), "\(again.errorText)")
        }
    }

    @Test("A rejected outcome can be exported to a file and removed, and the counts show it")
    func exportedOutcome() async throws {
        try await RelayFixture.with { relay in
            let context = try relay.contextFile(operation: "magnetodb.data.putitem", payload: "{}")
            let id = try self.messageID(try await relay.refusedExec(context))
            let (copy, file) = (relay.path("copy.jsonl"), relay.path("out.jsonl"))
            #expect(try await relay.guestAgent(["spool", "export", copy]).status == .exited(0))
            let end = try await relay.guestAgent(["spool", "export", "--remove", file])
            #expect(
                end.standardOutput == ["1 outcome written to \(file), 1 removed from the spool."], "\(end.errorText)")
            let line = try Notification(String(contentsOfFile: file, encoding: .utf8)).object
            #expect((line["params"] as? [String: Any])?["message_id"] as? String == id)
            #expect(line["state"] as? String == "set_aside" && line["set_aside_at"] as? String != nil)
            #expect(try Data(contentsOf: URL(filePath: file)) == Data(contentsOf: URL(filePath: copy)))
            let total = try await self.total(relay)
            #expect(total["exported"] as? Int == 1 && total["set_aside"] as? Int == 0, "\(total)")
            #expect(total["balanced"] as? Bool == true && total["bytes"] as? Int == 0)
            let nothing = try await relay.guestAgent(["spool", "export", "--remove", file])
            #expect(nothing.status == .exited(73) && nothing.errorText.contains("exists already"))
        }
    }

    @Test("Invalid input is named, ends with the documented exit code, and changes nothing")
    func invalidInput() async throws {
        try await RelayFixture.with { relay in
            let unknown = "00000000-0000-4000-8000-000000000000"
            let none = relay.path("none")
            let empty = relay.path("empty")
            try FileManager.default.createDirectory(atPath: empty, withIntermediateDirectories: true)
            let file = try relay.write("text", to: "file")
            let damaged = relay.path("damaged")
            try FileManager.default.createDirectory(atPath: damaged, withIntermediateDirectories: true)
            _ = try relay.write(String(repeating: "no database ", count: 1000), to: "damaged/spool.sqlite")
            _ = try await relay.exec(["true"], ports: ["1"], drainTimeout: 0)
            let kept = "\(relay.spoolDirectory)/exec-1"

            let commands = [["status"], ["spool", "list"], ["spool", "show", unknown], ["spool", "retry", "--all"]]
            for command in commands + [["spool", "export", relay.path("out")]] {
                for (spool, code) in [(none, 78), (empty, 78), (file, 78), (damaged, 74)] as [(String, Int32)] {
                    let end = try await relay.guestAgent(command + ["--spool", spool])
                    #expect(end.status == .exited(code), "\(command) \(spool): \(end.errorText)")
                    #expect(end.standardError.count == 1 && end.errorText.contains(spool), "\(end.errorText)")
                }
            }
            let cases: [([String], Int32, String)] = [
                (["status", "--set", "spool.directory=\(none)"], 78, none),
                (["spool", "show", unknown], 65, unknown),
                (["spool", "retry", unknown], 65, unknown),
                (["spool", "show", "garbage"], 64, "UUID"),
                (["spool", "retry"], 64, "--all"),
                (["spool", "retry", "--all", unknown], 64, "--all"),
                (["spool", "list", "--waiting", "--set-aside"], 64, "--waiting"),
                (["spool", "export", "--remove", "--all", relay.path("out")], 64, "--remove"),
                (["spool", "export", relay.path("none/out")], 73, "its directory does not exist"),
                (["spool", "export", "--waiting", empty], 73, empty),
                (["flush", "--timeout", "-1"], 64, "--timeout"),
                (["flush", "--set", "conductors=a b"], 78, "conductors"),
                (["flush", "--spool", none], 78, none),
            ]
            for (arguments, code, text) in cases {
                let end = try await relay.guestAgent(arguments)
                #expect(end.status == .exited(code), "\(arguments): \(end.errorText)")
                #expect(end.errorText.contains(text), "\(arguments): \(end.errorText)")
            }
            for path in [none, relay.path("out")] { #expect(!FileManager.default.fileExists(atPath: path)) }
            #expect(try FileManager.default.contentsOfDirectory(atPath: empty).isEmpty)
            #expect(try FileManager.default.contentsOfDirectory(atPath: damaged) == ["spool.sqlite"])
            let one = try await relay.guestAgent(["status", "--spool", kept])
            #expect(one.standardOutput.joined().contains("waiting 1"), "\(one.errorText)")
        }
    }

    @Test("exec runs no command if there is no room or no directory for its outcome")
    func noRoomForOutcome() async throws {
        try await RelayFixture.with { relay in
            let (context, port) = (try relay.contextFile(), try ReservedPort())
            let file = try relay.guestFile(ports: [port.number], drainTimeout: 0)
            func exec(_ setting: String) async throws -> ProgramEnd {
                try await Program.guestAgent.run([
                    "exec", "--config", file, "--context", context, "--set", setting, "--", "touch", relay.path("ran"),
                ])
            }
            let inTheWay = try await exec("spool.directory=\(try relay.write("", to: "in-the-way"))")
            #expect(inTheWay.status == .exited(78), "\(inTheWay.errorText)")
            #expect(inTheWay.errorText.contains("spool.directory") && inTheWay.standardError.count == 1)
            #expect(!FileManager.default.fileExists(atPath: relay.path("ran")))

            #expect(try await exec("spool.maximum_count=1").status == .exited(0))
            try FileManager.default.removeItem(atPath: relay.path("ran"))
            let full = try await exec("spool.maximum_count=1")
            #expect(full.status == .exited(75), "\(full.errorText)")
            #expect(full.errorText.contains("The spool is full"), "\(full.errorText)")
            #expect(!FileManager.default.fileExists(atPath: relay.path("ran")))
            let total = try await self.total(relay)
            #expect(total["refused"] as? Int == 1 && total["waiting"] as? Int == 1, "\(total)")
        }
    }

    @Test("If an outcome cannot be stored, exec prints it, keeps the status, and a flush reports it")
    func outcomeNotStored() async throws {
        try await RelayFixture.with { relay in
            try await relay.withConductor { conductor in
                let (file, context) = (try relay.guestFile(ports: [conductor.port]), try relay.contextFile())
                // From now on the agent can write to no file.
                let command = "prlimit --pid $PPID --fsize=0:0; exit 3"
                let end = try await Program("env").run([
                    "--ignore-signal=XFSZ", Program.guestAgent.path, "exec", "--config", file, "--context", context,
                    "--", "sh", "-c", command,
                ])
                #expect(end.status == .exited(3), "\(end.errorText)")
                #expect(end.errorText.contains("could NOT be stored"), "\(end.errorText)")
                let id = try self.messageID(end)
                let flush = try await relay.guestAgent(["flush"], ports: [conductor.port])
                #expect(flush.standardOutput == ["1 delivered, 0 waiting, 0 set aside."], "\(flush.errorText)")
                let notification = try await conductor.notification(of: "dbaas.database_create.error")
                #expect(notification.messageID == id)
                #expect(notification.exception.last?.hasPrefix("OperationInterrupted") == true)
            }
        }
    }

    @Test("flush has nothing to do on a guest where no command has run")
    func nothingToFlush() async throws {
        try await RelayFixture.with { relay in
            let end = try await relay.guestAgent(["flush"])
            #expect(end.status == .exited(0) && end.standardError.isEmpty, "\(end.errorText)")
            #expect(end.standardOutput == ["0 delivered, 0 waiting, 0 set aside."])
            #expect(!FileManager.default.fileExists(atPath: relay.spoolDirectory))
            // A directory that holds no spool is not changed either.
            try #require(mkdir(relay.spoolDirectory, 0o700) == 0 && chmod(relay.spoolDirectory, 0o770) == 0)
            for command in [["flush"], ["spool", "retry", "--all"]] {
                #expect(try await relay.guestAgent(command).status == .exited(0))
                let attributes = try FileManager.default.attributesOfItem(atPath: relay.spoolDirectory)
                #expect(attributes[.posixPermissions] as? Int == 0o770, "\(command)")
            }
        }
    }

    @Test("With closed standard streams, the command's outcome is still reported")
    func closedStreams() async throws {
        try await RelayFixture.with { relay in
            try await relay.withConductor { conductor in
                let (file, context) = (try relay.guestFile(ports: [conductor.port]), try relay.contextFile())
                let end = try await Program("sh").run([
                    "-c", "exec \"$@\" <&- >&- 2>&-", "sh", Program.guestAgent.path, "exec", "--config", file,
                    "--context", context, "--", "sh", "-c", "exit 4",
                ])
                #expect(end.status == .exited(4))
                _ = try await conductor.notification(of: "dbaas.database_create.error")
            }
        }
    }
}

extension RelayFixture {
    /// Runs a command whose outcome the conductor rejects permanently.
    fileprivate func refusedExec(_ context: String) async throws -> ProgramEnd {
        var end: ProgramEnd?
        try await self.withConductor { conductor in
            // Without its catalogue the conductor does not know the operation; with it, this is a valid end event.
            let command = #"echo '{"table_name": "orders", "row_count": 1}' > "$GUEST_AGENT_END_FIELDS""#
            end = try await self.exec(["sh", "-c", command], ports: [conductor.port], context: context)
        }
        return try #require(end)
    }
}
