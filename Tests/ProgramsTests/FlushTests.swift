// SPDX-License-Identifier: Apache-2.0

import Foundation
import GRDB
import ProcessTesting
import Subprocess
import Testing

@Suite("guest-agent flush with several spools", .timeLimit(.minutes(2)))
struct FlushTests {
    @Test("retry names the spools that must be opened first, and flush opens them")
    func unopenedSpools() async throws {
        try await RelayFixture.with { relay in
            let context = try relay.contextFile(operation: "magnetodb.data.putitem", payload: "{}")
            try await relay.withConductor { conductor in
                // Without its catalogue the conductor does not know the operation; with it, this is a valid end event.
                let command = #"echo '{"table_name": "orders", "row_count": 1}' > "$GUEST_AGENT_END_FIELDS""#
                for slot in [2, 3, 4, 1] {
                    let end = try await relay.exec(["sh", "-c", command], ports: [conductor.port], context: context)
                    try #require(end.errorText.contains("REFUSED"), "\(end.errorText)")
                    if slot > 1 { try relay.moveFirstSlot(to: slot) }
                }
            }
            // A spool of an earlier version, and one of an agent that ended in the last stage of a claim.
            let undone = "ALTER TABLE origin DROP COLUMN is_claimed; DELETE FROM grdb_migrations WHERE identifier = '5'"
            try relay.change(slot: 2, undone)
            try relay.change(slot: 3, "UPDATE origin SET is_claimed = 1")

            let retry = try await relay.guestAgent(["spool", "retry", "--all"])
            #expect(retry.status == .exited(74), "\(retry.errorText)")
            #expect(retry.standardOutput == ["2 outcomes put back."])
            #expect(retry.standardError.count == 2, "\(retry.errorText)")
            for slot in ["exec-2", "exec-3"] { #expect(retry.errorText.contains(slot), "\(retry.errorText)") }
            let export = try await relay.guestAgent(["spool", "export", "--remove", relay.path("out.jsonl")])
            #expect(export.status == .exited(74) && export.errorText.contains("exec-2"), "\(export.errorText)")
            // A claim does not prevent an export.
            #expect(export.standardOutput.first?.hasSuffix("1 removed from the spool.") == true, "\(export)")

            let catalogue = URL(filePath: #filePath).appending(path: "../../../deploy/catalogues/magnetodb.yaml")
                .standardizedFileURL.path
            try await relay.withConductor(more: "catalogue: {files: [\(catalogue)]}") { conductor in
                let flush = try await relay.guestAgent(["flush"], ports: [conductor.port])
                #expect(flush.status == .exited(0), "\(flush.errorText)")
                #expect(flush.standardOutput == ["2 delivered, 0 waiting, 0 set aside."], "\(flush.errorText)")
                let again = try await relay.guestAgent(["spool", "retry", "--all"])
                #expect(again.status == .exited(0), "\(again.errorText)")
                #expect(again.standardOutput == ["1 outcome put back."], "\(again.errorText)")
                let last = try await relay.guestAgent(["flush"], ports: [conductor.port])
                #expect(last.standardOutput == ["1 delivered, 0 waiting, 0 set aside."], "\(last.errorText)")
            }
            #expect(try relay.rows(slot: 3, "SELECT is_claimed FROM origin") == 0)
        }
    }

    @Test("An unreadable spool is named, and the other spools are still listed and shown")
    func unreadableSpool() async throws {
        try await RelayFixture.with { relay in
            for slot in [3, 1] {
                let end = try await relay.exec(["true"], ports: ["1"], drainTimeout: 0)
                try #require(end.status == .exited(0), "\(end.errorText)")
                if slot > 1 { try relay.moveFirstSlot(to: slot) }
            }
            // A slot as an agent leaves it when it is killed while it repairs a spool.
            try relay.makeMarkedSlot(2)
            let list = try await relay.guestAgent(["spool", "list"])
            #expect(list.status == .exited(74) && list.errorText.contains("exec-2"), "\(list.errorText)")
            #expect(list.standardOutput.count == 2)
            let messageID = try #require(list.standardOutput.last?.split(separator: " ").first)
            let show = try await relay.guestAgent(["spool", "show", String(messageID)])
            #expect(show.status == .exited(0) && show.errorText.isEmpty, "\(show.errorText)")
            let missing = try await relay.guestAgent(["spool", "show", "5f5a1f6b-2f0c-4b7e-9d3d-0c9e6a2b7c11"])
            #expect(missing.status == .exited(74) && missing.errorText.contains("exec-2"), "\(missing.errorText)")
        }
    }

    @Test("One flush delivers all spools although the first conductor never answers")
    func silentConductor() async throws {
        try await RelayFixture.with { relay in
            for slot in [2, 3, 4, 1] {
                let end = try await relay.exec(["true"], ports: ["1"], drainTimeout: 0)
                try #require(end.status == .exited(0), "\(end.errorText)")
                if slot > 1 { try relay.moveFirstSlot(to: slot) }
            }
            let silent = try SilentListener()
            try await relay.withConductor { conductor in
                // A turn is ten seconds, less than the time limit for a connection.
                let flush = try await relay.guestAgent(
                    ["flush", "--timeout", "20", "--set", "delivery.connect_timeout=60"],
                    ports: [silent.port, conductor.port])
                #expect(flush.status == .exited(0), "\(flush.errorText)")
                #expect(flush.standardOutput == ["4 delivered, 0 waiting, 0 set aside."], "\(flush.errorText)")
            }
        }
    }

    @Test("After a signal, flush names each spool that it did not try and did not count")
    func stoppedFlush() async throws {
        try await RelayFixture.with { relay in
            let wait = ["sh", "-c", "echo ready; read line"]
            for slot in [2, 3, 4, 1] {
                let end = try await relay.exec(wait, ports: ["1"]) { agent in
                    try await agent.standardOutput.line(containing: "ready")
                    try agent.send(.kill)
                }
                try #require(end.status == .signaled(SIGKILL), "\(end.errorText)")
                if slot > 1 { try relay.moveFirstSlot(to: slot) }
            }
            let silent = try SilentListener()
            let file = try relay.guestFile(ports: [silent.port])
            let end = try await Program.guestAgent.run(["flush", "--config", file, "--timeout", "600"]) { flush in
                try await flush.standardError.line(containing: "Waiting for a conductor")
                try flush.send(.terminate)
            }
            #expect(end.status == .exited(75), "\(end.errorText)")
            // Two spools are delivered at the same time.
            #expect(end.standardOutput == ["0 delivered, 2 waiting, 0 set aside."], "\(end.errorText)")
            let untried = end.standardError.filter { $0.contains("was not tried: a signal ended the wait") }
            #expect(untried.count == 2, "\(end.errorText)")
        }
    }
}

extension RelayFixture {
    private func slot(_ number: Int) -> String { "\(self.spoolDirectory)/exec-\(number)" }

    /// Moves the first slot to another number, so that the next command makes a new one.
    fileprivate func moveFirstSlot(to number: Int) throws {
        try FileManager.default.moveItem(atPath: self.slot(1), toPath: self.slot(number))
    }

    /// Makes a slot that holds only the mark of a repair.
    fileprivate func makeMarkedSlot(_ number: Int) throws {
        try FileManager.default.createDirectory(
            atPath: self.slot(number), withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
        #expect(FileManager.default.createFile(atPath: "\(self.slot(number))/spool.sqlite.mending", contents: nil))
    }

    /// Changes a spool's file while no agent has it open.
    fileprivate func change(slot number: Int, _ sql: String) throws {
        let database = try DatabaseQueue(path: "\(self.slot(number))/spool.sqlite")
        try database.write { try $0.execute(sql: sql) }
        try database.close()
    }

    fileprivate func rows(slot number: Int, _ sql: String) throws -> Int? {
        let database = try DatabaseQueue(path: "\(self.slot(number))/spool.sqlite")
        defer { try? database.close() }
        return try database.read { try Int.fetchOne($0, sql: sql) }
    }
}
