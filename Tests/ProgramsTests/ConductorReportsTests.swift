// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Subprocess
import Testing

@Suite("conductor serve: periodic reports", .timeLimit(.minutes(2)))
struct ConductorReportsTests {
    private static let rows = ["one", "two"].map { id in
        #"{"instance_id": "\#(id)", "name": "shop", "tenant_id": "t", "user_id": null, "instance_type": "m1.small", "#
            + #""instance_type_id": 7, "nova_instance_id": "n", "datastore_manager": "mysql", "state": "ACTIVE", "#
            + #""created_at": "2026-01-01 00:00:00", "region": "r"}"#
    }

    private static let existsLine = #""event_type":"trove.instance.exists""#

    /// Returns settings for one period a second, reported by a command that prints a file.
    private func settings(_ relay: RelayFixture, more: String = "") throws -> String {
        let file = try relay.write(Self.rows.joined(separator: "\n"), to: "rows.jsonl")
        return """
            reports:
              exists_command: [cat, \(file)]
              exists_notification_interval: 1
              state_file: \(relay.path("reports.json"))
              service_ids: [mysql=service-1]
            \(more)
            """
    }

    @Test("Audit periods adjoin across a restart, and each reports every instance once")
    func auditPeriods() async throws {
        try await RelayFixture.with { relay in
            var notifications: [Notification] = []
            for _ in 1...2 {
                let end = try await relay.withConductor(more: try self.settings(relay)) { conductor in
                    try await conductor.program.standardOutput.line(containing: Self.existsLine, count: 4)
                }
                notifications += try end.standardOutput.map { try Notification($0) }
            }
            var ids: [[String]: String] = [:]
            for notification in notifications {
                #expect(notification.eventType == "trove.instance.exists" && notification.priority == "INFO")
                #expect(notification.object["publisher_id"] as? String == "taskmanager.edge-1")
                #expect(notification.payload["service_id"] as? String == "service-1")
                let key = ["audit_period_beginning", "audit_period_ending", "instance_id"].map {
                    notification.payload[$0] as? String ?? ""
                }
                // The stop may come between the two messages of a period. Then one is repeated, with the same id.
                #expect(
                    ids.updateValue(notification.messageID ?? "", forKey: key) ?? notification.messageID
                        == notification.messageID)
            }
            let periods = Set(ids.keys.map { Array($0.prefix(2)) }).sorted { $0[0] < $1[0] }
            #expect(periods.count >= 4)
            #expect(zip(periods, periods.dropFirst()).allSatisfy { $0[1] == $1[0] }, "\(periods)")
            #expect(Set(ids.values).count == ids.count)
            for period in periods.dropLast() {
                #expect(Set(ids.keys.filter { Array($0.prefix(2)) == period }.map { $0[2] }) == ["one", "two"])
            }
        }
    }

    @Test("A failing report command does not end the conductor, and does not inherit its settings")
    func failingCommand() async throws {
        try await RelayFixture.with { relay in
            let script = #"echo "$CONDUCTOR_LOG_LEVEL<>$MINE" >&2; exit 3"#
            let reports = """
                reports:
                  quota_command: [sh, -c, '\(script)']
                  quota_notification_interval: 1
                """
            let file = try relay.conductorFile(more: reports)
            let end = try await Program.conductor.run(
                ["serve", "--config", file], environment: ["CONDUCTOR_LOG_LEVEL": "info", "MINE": "mine"]
            ) { program in
                _ = try await relay.listening(program)
                try await program.standardError.line(containing: "exited with status 3", count: 2)
                try await program.standardError.line(containing: "text=<>mine")
                try program.send(.terminate)
            }
            #expect(end.status == .exited(0), "\(end.errorText)")
        }
    }

    @Test("The conductor stops while a report command hangs")
    func hangingCommand() async throws {
        try await RelayFixture.with { relay in
            let reports = """
                reports:
                  quota_command: [sh, -c, 'echo begun > \(relay.path("fifo")); sleep 1000']
                  quota_notification_interval: 1
                """
            try #require(mkfifo(relay.path("fifo"), 0o600) == 0)
            try await relay.withConductor(more: reports) { _ in
                // Opening a named pipe waits for its other end.
                await withCheckedContinuation { continuation in
                    Thread.detachNewThread {
                        _ = try? Data(contentsOf: URL(fileURLWithPath: relay.path("fifo")))
                        continuation.resume()
                    }
                }
            }
        }
    }

    @Test("Invalid settings of the reports are named", arguments: ["serve", "check-config"])
    func invalidSettings(_ command: String) async throws {
        try await RelayFixture.with { relay in
            func sentence(_ reports: String) async throws -> String {
                let file = try relay.conductorFile(more: "reports:\n  " + reports)
                let end = try await Program.conductor.run([command, "--config", file])
                #expect(end.status == .exited(78), "\(reports)")
                #expect(end.standardError.count == 1, "\(end.errorText)")
                return end.errorText
            }
            let missing = try await sentence("exists_command: [cat]")
            #expect(missing.contains("reports.state_file") && missing.contains("reports.exists_command"))
            #expect(try await sentence("quota_command: [/etc/passwd]").contains("reports.quota_command"))
            #expect(try await sentence("quota_command: [no-such-program]").contains("no-such-program in PATH"))
            let off = try await sentence("quota_notification_interval: 60")
            #expect(off.contains("reports.quota_command") && off.contains("reports.quota_notification_interval"))
            #expect(
                try await sentence("quota_notification_interval: 0").contains("reports.quota_notification_interval"))
            #expect(try await sentence("service_ids: [mysql]").contains("reports.service_ids"))
            let state = try relay.write("{}", to: "damaged.json")
            let damaged = try await sentence("{exists_command: [cat], state_file: \(state)}")
            #expect(damaged.contains("reports.state_file: the file \(state) is damaged"))
            let nowhere = try await sentence("{exists_command: [cat], state_file: \(relay.path("none/s.json"))}")
            #expect(nowhere.contains("reports.state_file"))
        }
    }

    @Test("check-config begins no audit period")
    func checkConfig() async throws {
        try await RelayFixture.with { relay in
            let file = try relay.conductorFile(more: try self.settings(relay))
            let end = try await Program.conductor.run(["check-config", "--config", file])
            #expect(end.status == .exited(0), "\(end.errorText)")
            #expect(!FileManager.default.fileExists(atPath: relay.path("reports.json")))
        }
    }
}

/// The example commands, with a stand-in for the database's client.
@Suite("deploy/reports", .timeLimit(.minutes(1)))
struct ReportCommandsTests {
    private static func command(_ name: String) -> Program {
        Program(
            URL(fileURLWithPath: #filePath).appending(path: "../../../deploy/reports/\(name)").standardizedFileURL.path)
    }

    private func withClient(_ body: (URL, [String: String]) async throws -> Void) async throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "client-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let client = directory.appending(path: "client")
        try Data("#!/bin/sh\necho \"$@\"\ncat\n".utf8).write(to: client)
        try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: client.path)
        try await body(directory, ["MYSQL": client.path])
    }

    @Test("exists-rows passes the arguments after -- to the client and quotes files in the statement")
    func existsRows() async throws {
        try await self.withClient { directory, environment in
            let flavors = directory.appending(path: "flavors.json")
            try Data("[{\"ID\": \"1\",\n\"Name\": \"it's \\\\ one\"}]\n".utf8).write(to: flavors)
            let end = try await Self.command("exists-rows").run(
                ["--flavors", flavors.path, "--region", "R'1", "--", "--socket=s", "trove"], environment: environment)
            #expect(end.status == .exited(0), "\(end.errorText)")
            #expect(end.standardOutput.first?.hasPrefix("--socket=s trove --batch --raw") == true)
            let statement = end.standardOutput.joined(separator: "\n")
            #expect(statement.contains(#"JSON_TABLE('[{"ID": "1","# + "\n" + #""Name": "it''s \\\\ one"}]', '$[*]'"#))
            #expect(statement.contains("COALESCE(i.region_id, 'R''1')"))
        }
    }

    @Test("A missing file ends exists-rows before it runs the client")
    func missingFile() async throws {
        try await self.withClient { directory, environment in
            let end = try await Self.command("exists-rows").run(
                ["--users", directory.appending(path: "none").path, "--", "trove"], environment: environment)
            #expect(end.status != .exited(0))
            #expect(end.standardOutput.isEmpty)
        }
    }

    @Test("quota-rows puts the defaults into the statement and accepts only numbers")
    func quotaRows() async throws {
        try await self.withClient { _, environment in
            let command = Self.command("quota-rows")
            let end = try await command.run(["--volumes", "7", "--", "trove"], environment: environment)
            #expect(end.status == .exited(0), "\(end.errorText)")
            #expect(end.standardOutput.joined().contains("'volumes', 7"))
            #expect(try await command.run(["--ram", "1; DROP"], environment: environment).status == .exited(64))
        }
    }
}
