// SPDX-License-Identifier: Apache-2.0

import BrokerTesting
import Foundation
import ProcessTesting
import Subprocess
import Testing

/// The output and each exit code of `conductor notify` and `conductor context`.
@Suite("conductor: events from scripts", .timeLimit(.minutes(2)))
struct ConductorNotifyTests {
    private let quota = #"{"resource": "volumes", "in_use": 3, "reserved": 0, "limit": 10, "updated": null}"#
    private let start = #"""
        {"tenant_id": "t", "client_ip": "10.1.2.3", "server_ip": "192.0.2.1", "request_id": "r", "instance_id": "i",
         "dbname": ["a", "b"]}
        """#

    /// Runs `notify` with its payload on standard input.
    private func notify(
        _ event: String, _ payload: String, drivers: String = "noop", transportURL: String? = nil, _ more: [String] = []
    ) async throws -> ProgramEnd {
        try await Program.conductor.run(
            ["notify", event, "--payload", "-", "--set", "drivers=\(drivers)"] + more,
            environment: transportURL.map { ["CONDUCTOR_MESSAGING_TRANSPORT_URL": $0] } ?? [:]
        ) { program in try await program.write(payload) }
    }

    /// Checks how a failed command ended, and returns its first sentence.
    private func sentence(_ end: ProgramEnd, _ status: Int32) throws -> String {
        #expect(end.status == .exited(status), "\(end.errorText)")
        #expect(end.standardOutput.isEmpty)
        let sentence = try #require(end.standardError.first { $0.hasPrefix("conductor: ") }, "\(end.errorText)")
        return String(sentence.dropFirst("conductor: ".count))
    }

    @Test("notify prints the event's identifier and type, and needs no certificates")
    func printedIdentifier() async throws {
        let end = try await self.notify("dbaas.quotas", self.quota)
        #expect(end.status == .exited(0), "\(end.errorText)")
        #expect(end.standardError.isEmpty)
        try #require(end.standardOutput.count == 1)
        let words = end.standardOutput[0].split(separator: " ")
        #expect(words.count == 2 && UUID(uuidString: String(words[0])) != nil && words[1] == "dbaas.quotas")
    }

    @Test("With the log driver, notify prints only its lines, and options fill in missing fields")
    func logDriverOutput() async throws {
        let ids = [UUID().uuidString.lowercased(), UUID().uuidString.lowercased()]
        let end = try await self.notify(
            "dbaas.database_create.start", self.start.replacing(#""server_ip": "192.0.2.1", "#, with: ""),
            drivers: "log,noop",
            [
                "--server-ip", "192.0.2.9:8779", "--server-type", "task", "--set", "publisher.host=control-1",
                "--message-id", ids[0], "--message-id", ids[1], "--timestamp", "2015-06-28T05:54:57.725572Z",
            ])
        #expect(end.status == .exited(0), "\(end.errorText)")
        let events = try end.standardOutput.map { try Notification($0) }
        #expect(events.map(\.messageID) == ids)
        #expect(events.map { $0.payload["dbname"] as? String } == ["a", "b"])
        for event in events {
            #expect(event.payload["server_ip"] as? String == "192.0.2.9:8779")
            #expect(event.payload["server_type"] as? String == "task")
            #expect(event.object["publisher_id"] as? String == "task.control-1")
            #expect(event.object["timestamp"] as? String == "2015-06-28 05:54:57.725572")
        }
    }

    @Test("The task manager publishes a standalone event; an undeclared field is named and left out")
    func standaloneEvent() async throws {
        let end = try await self.notify(
            "dbaas.quota", self.quota.dropLast() + #", "colour": "red"}"#, drivers: "log",
            ["--set", "publisher.host=control-1"])
        #expect(end.status == .exited(0))
        #expect(end.standardError == [#"conductor: dbaas.quota does not declare "colour": left out."#])
        let event = try Notification(try #require(end.standardOutput.first))
        #expect(event.object["publisher_id"] as? String == "taskmanager.control-1")
        #expect(event.eventType == "dbaas.quota" && event.payload["colour"] == nil)
    }

    @Test(
        "Wrong arguments end notify and context with 64 and the usage",
        arguments: [
            ["notify", "dbaas.quotas"], ["notify", "--payload", "-"],
            ["notify", "dbaas.quotas", "--payload", "-", "--context", "-"],
            ["notify", "dbaas.quotas", "--payload", "-", "--message-id", "7"],
            ["notify", "dbaas.quotas", "--payload", "-", "--timestamp", "yesterday"],
            ["context", "instance_restart", "--client-ip", "x"], ["context", "instance_restart", "--tenant", "x"],
            ["context", "instance_restart", "--tenant", "", "--client-ip", "x"],
        ])
    func wrongArguments(_ arguments: [String]) async throws {
        let end = try await Program.conductor.run(arguments)
        #expect(end.status == .exited(64), "\(end.errorText)")
        #expect(end.errorText.contains("Usage: conductor"))
        #expect(end.standardOutput.isEmpty)
    }

    @Test(
        "An unknown event or an invalid payload ends notify with 65 and a sentence that names it",
        arguments: [
            ("dbaas.quotas", "{", "--payload: standard input is not JSON"),
            ("dbaas.quotas", "[1]", "--payload: standard input must hold one JSON object"),
            ("dbaas.quotas", "", "--payload: standard input is not JSON"),
            ("dbaas.quotas", #"{"a": 1, "a": 2}"#, "--payload: standard input is not JSON"),
            ("dbaas.quotas", #"{"resource": "volumes"}"#, "payload.in_use is missing."),
            ("dbaas.quotas", #"{"resource": {}}"#, "payload.resource must be a string, not an object."),
            ("dbaas.quotsa", "{}", #"No catalogue has the event "dbaas.quotsa" (did you mean dbaas.quotas?)."#),
            ("nonsense", "{}", #"No catalogue has the event "nonsense"; `conductor events` lists all."#),
            ("dbaas.user_create.start", #"{"username": []}"#, "payload.username must not be an empty list."),
            ("dbaas.user_create.start", #"{"username": ["u"]}"#, "payload.tenant_id is missing."),
        ])
    func invalidEvents(_ event: String, _ payload: String, _ expected: String) async throws {
        let sentence = try self.sentence(try await self.notify(event, payload), 65)
        #expect(sentence.hasPrefix(expected), "\(sentence)")
    }

    @Test("notify prints every missing or wrong field at once, one line for each")
    func allProblems() async throws {
        let end = try await self.notify("dbaas.quotas", #"{"resource": {}, "limit": "many"}"#)
        #expect(end.status == .exited(65))
        #expect(
            end.standardError == [
                "conductor: payload.resource must be a string, not an object.", "conductor: payload.in_use is missing.",
                "conductor: payload.reserved is missing.",
                #"conductor: payload.limit must be a whole number, not "many"."#,
                "conductor: payload.updated is missing.",
            ])
        try await RelayFixture.with { relay in
            let bare = try relay.write(#"{"operation": "database_create"}"#, to: "bare.json")
            let noop = ["--set", "drivers=noop"]
            let context = try await Program.conductor.run(
                ["notify", "dbaas.database_create.end", "--context", bare] + noop)
            #expect(
                context.standardError
                    == ["request_id", "tenant_id", "client_ip"].map {
                        "conductor: context.\($0) is missing."
                    })
            let backup = try relay.write(
                #"{"operation": "backup_create", "request_id": "r", "tenant_id": "t", "client_ip": "c"}"#,
                to: "backup.json")
            let error = try await Program.conductor.run(
                ["notify", "dbaas.backup_create.error", "--context", backup, "--payload", "-"] + noop
            ) { try await $0.write("{}") }
            #expect(error.status == .exited(65))
            for name in ["server_ip", "payload.message"] {
                #expect(error.errorText.contains("conductor: \(name) is missing"), "\(error.errorText)")
            }
        }
    }

    @Test(
        "For an unknown event name, notify suggests the events that it may mean",
        arguments: [
            (
                "dbaas.database_create",
                "dbaas.database_create.start, dbaas.database_create.end or dbaas.database_create.error"
            ),
            (
                "database_create",
                "dbaas.database_create.start, dbaas.database_create.end or dbaas.database_create.error"
            ),
            (
                "dbaas.databse_create",
                "dbaas.database_create.start, dbaas.database_create.end or dbaas.database_create.error"
            ),
            ("database_create.end", "dbaas.database_create.end"),
            ("dbaas.database_creat.end", "dbaas.database_create.end"),
        ])
    func suggestedEvents(_ event: String, _ expected: String) async throws {
        let end = try await self.notify(event, "{}")
        #expect(try self.sentence(end, 65).hasSuffix(" (did you mean \(expected)?)."), "\(end.errorText)")
        let shown = try await Program.conductor.run(["events", event])
        if event == "dbaas.database_create" || event == "database_create" {
            #expect(shown.status == .exited(0))
        } else {
            #expect(try self.sentence(shown, 65).hasSuffix(" (did you mean \(expected)?)."), "\(shown.errorText)")
        }
    }

    @Test(
        "notify accepts any RFC 3339 instant and publishes it in UTC",
        arguments: [
            ("2026-11-30T07:52:39+00:00", "2026-11-30 07:52:39"),
            ("2026-11-30T09:52:39.5+02:00", "2026-11-30 07:52:39.500000"),
            ("2026-11-30T07:52:39.123456789Z", "2026-11-30 07:52:39.123456"),
            ("2026-11-30t07:52:39z", "2026-11-30 07:52:39"),
        ])
    func rfc3339Instants(_ text: String, _ expected: String) async throws {
        let payload = self.quota.replacing("null", with: "\"\(text)\"")
        let end = try await self.notify("dbaas.quotas", payload, drivers: "log", ["--timestamp", text])
        #expect(end.status == .exited(0), "\(end.errorText)")
        let notification = try Notification(try #require(end.standardOutput.first))
        #expect(notification.object["timestamp"] as? String == expected)
        let updated = try #require(notification.payload["updated"] as? String)
        #expect(updated == expected.replacing(" ", with: "T") + "Z")
    }

    @Test("notify rejects numbers beyond a double and invalid times, and replaces NUL characters")
    func unreadableValues() async throws {
        let number = try await self.notify("dbaas.quotas", self.quota.replacing("10", with: "1e999"))
        #expect(
            try self.sentence(number, 65) == "payload.limit must not contain a number beyond the range of a double.")
        let time = try await self.notify("dbaas.quotas", self.quota.replacing("null", with: "\"today\""))
        #expect(try self.sentence(time, 65).hasSuffix("2015-06-28T05:54:52Z, not \"today\"."))
        let option = try await self.notify("dbaas.quotas", self.quota, ["--timestamp", "today"])
        #expect(option.status == .exited(64) && option.errorText.contains("today is not a time (RFC 3339) such as"))
        let nul = try await self.notify(
            "dbaas.quotas", self.quota.replacing("volumes", with: "a\\u0000b"), drivers: "log")
        #expect(try Notification(try #require(nul.standardOutput.first)).payload["resource"] as? String == "a\u{FFFD}b")
    }

    @Test("A missing file, an incomplete context and too few identifiers each end notify with 65")
    func missingFiles() async throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "notify-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let files = RelayFixture(directory: directory)
        let noop = ["--set", "drivers=noop"]
        let missing = files.path("none.json")
        for (option, path, problem) in [
            ("--payload", missing, "does not exist; create it or give another path"),
            ("--context", missing, "does not exist; create it or give another path"),
            ("--payload", directory.path, "is a directory; give the path of a file"),
        ] {
            let end = try await Program.conductor.run(["notify", "dbaas.quotas", option, path] + noop)
            #expect(try self.sentence(end, 65) == "\(option): \(path) \(problem).")
        }
        let context = try files.write(#"{"operation": "database_create"}"#, to: "context.json")
        let end = try await Program.conductor.run(["notify", "dbaas.database_create.end", "--context", context] + noop)
        #expect(try self.sentence(end, 65) == "context.request_id is missing.")
        let few = try await self.notify(
            "dbaas.database_create.start", self.start, ["--message-id", UUID().uuidString])
        #expect(
            try self.sentence(few, 65) == "message-id is given 1 times for 2 events: give one for each event, or none.")
    }

    @Test("An unreachable broker ends notify with 69 and prints the identifiers for a retry")
    func unreachableBroker() async throws {
        let port = try ReservedPort()
        let end = try await self.notify(
            "dbaas.database_create.start", self.start, drivers: "messagingv2",
            transportURL: "rabbit://u:hunter2@127.0.0.1:\(port.number)/", ["--set", "messaging.publish_timeout=1"])
        let sentence = try self.sentence(end, 69)
        #expect(sentence.contains("(0 of 2 were)") && !end.errorText.contains("hunter2"))
        let ids = sentence.matches(of: /--message-id ([0-9a-f-]{36})/).map { String($0.output.1) }
        try #require(ids.count == 2)

        // The same events again, with a broker that can be reached.
        let broker = try TestBroker.shared()
        let names = UniqueTopic()
        let again = try await self.notify(
            "dbaas.database_create.start", self.start, drivers: "messagingv2", transportURL: broker.url,
            ids.flatMap { ["--message-id", $0] } + [
                "--set", "messaging.exchange=\(names.exchange)", "--set", "messaging.topic=\(names.topic)",
            ])
        #expect(again.status == .exited(0), "\(again.errorText)")
        #expect(again.standardOutput == ids.map { "\($0) dbaas.database_create.start" })
        let received = try await BrokerClient(broker).getAll(names.info)
        #expect(try received.map { try Notification(body: $0.body).messageID } == ids)
    }

    @Test("An event larger than the broker's message limit ends notify with 65")
    func tooLargeEvent() async throws {
        try await withPrivateBroker(maxMessageSize: 20_000) { broker in
            let payload = self.quota.replacing("volumes", with: String(repeating: "v", count: 30_000))
            let end = try await self.notify(
                "dbaas.quotas", payload, drivers: "messagingv2", transportURL: broker.url)
            #expect(
                try self.sentence(end, 65).contains("larger than the broker's limit of 20000 bytes"), "\(end.errorText)"
            )
        }
    }

    @Test(
        "An invalid configuration ends notify with 78 before it reads standard input",
        arguments: [
            ([], "drivers is required"), (["drivers=messagingv2"], "messaging.transport_url is not set"),
            (["drivers=nope"], "drivers, set by the flag"),
            (["drivers=noop", "listne.port=1"], "The command line sets"),
            (
                ["drivers=messaging", "messaging.transport_url=rabbit://u:hunter2@localhost/"],
                "messaging.transport_url is a"
            ),
        ] as [([String], String)])
    func invalidConfiguration(_ settings: [String], _ expected: String) async throws {
        let arguments = ["notify", "dbaas.quotas", "--payload", "-"] + settings.flatMap { ["--set", $0] }
        let end = try await Program.conductor.run(arguments) { program in
            // Standard input is open: notify must end without waiting for it.
            try await program.standardError.end()
        }
        #expect(try self.sentence(end, 78).hasPrefix(expected), "\(end.errorText)")
        #expect(!end.errorText.contains("hunter2"))
    }

    @Test("conductor context prints one context for each value, without undeclared fields")
    func printedContexts() async throws {
        let end = try await Program.conductor.run([
            "context", "user_change_password", "--tenant", "t", "--client-ip", "10.1.2.3", "--payload", "-",
        ]) { program in
            try await program.write(#"{"instance_id": "i", "username": ["u", "v"], "password": "hunter2"}"#)
        }
        #expect(end.status == .exited(0), "\(end.errorText)")
        #expect(end.standardError == [#"conductor: user_change_password does not declare "password": left out."#])
        let contexts = try end.standardOutput.map { try Notification($0) }
        #expect(contexts.map { $0.payload["username"] as? String } == ["u", "v"])
        for context in contexts {
            #expect(context.payload.count == 2 && context.object["operation"] as? String == "user_change_password")
            #expect(context.object["server_ip"] == nil && context.object["user_id"] == nil)
            let request = context.object["request_id"] as? String
            #expect(request?.wholeMatch(of: /req-[0-9a-f-]{36}/) != nil)
        }
        #expect(contexts.first?.object["request_id"] as? String == contexts.last?.object["request_id"] as? String)
    }

    @Test(
        "A wrong operation or payload ends conductor context with 65",
        arguments: [
            ("instance_restrat", "{}", "(did you mean instance_restart?)"),
            ("instance_restart", "{}", "payload.instance_id is missing."),
            ("dbaas.database_create.end", "{}", "(it is an event; its operation is database_create)"),
            ("database_create.start", "{}", "(did you mean database_create?)"),
            ("user_create", #"{"instance_id": "i", "username": ["u", 1]}"#, "payload.username[1] must be a string"),
        ])
    func invalidContext(_ operation: String, _ payload: String, _ expected: String) async throws {
        let end = try await Program.conductor.run([
            "context", operation, "--tenant", "t", "--client-ip", "c", "--payload", "-",
        ]) { program in try await program.write(payload) }
        #expect(try self.sentence(end, 65).contains(expected), "\(end.errorText)")
    }
}
