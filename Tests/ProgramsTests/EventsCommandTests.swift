// SPDX-License-Identifier: Apache-2.0

import Foundation
import Subprocess
import Testing

@Suite("conductor events", .timeLimit(.minutes(2)))
struct EventsCommandTests {
    private static let root = URL(fileURLWithPath: #filePath).appending(path: "../../..").standardizedFileURL
    private static let magnetodb = Self.root.appending(path: "deploy/catalogues/magnetodb.yaml").path

    @Test("Docs/events.md is the output of events --markdown")
    func manual() async throws {
        let end = try await Program.conductor.run(["events", "--markdown"])
        #expect(end.status == .exited(0), "\(end.errorText)")
        let manual = try String(contentsOf: Self.root.appending(path: "Docs/events.md"), encoding: .utf8)
        #expect(manual == end.standardOutput.map { "\($0)\n" }.joined())
    }

    @Test("events --ceilometer prints the shipped definitions, and those of further catalogues")
    func ceilometerDefinitions() async throws {
        let end = try await Program.conductor.run(["events", "--ceilometer"])
        #expect(end.status == .exited(0), "\(end.errorText)")
        let file = Self.root.appending(path: "deploy/ceilometer/event_definitions.yaml")
        #expect(try String(contentsOf: file, encoding: .utf8) == end.standardOutput.map { "\($0)\n" }.joined())
        let more = try await Program.conductor.run(
            ["events", "--ceilometer", "--set", "catalogue.files=\(Self.magnetodb)"])
        #expect(more.standardOutput.contains("    - magnetodb.table.create.end"))
    }

    /// Runs the program under a shell, which gives it closed or unwritable streams, as a broken cron job may.
    private func run(_ arguments: String, _ streams: String) async throws -> ProgramEnd {
        try await Program("/bin/sh").run(["-c", "exec \"$0\" \(arguments) \(streams)", Program.conductor.path])
    }

    @Test("events ends with status 1 if its output cannot be written", arguments: [">/dev/full", ">&-", "<&- >&-"])
    func unwritableOutput(_ streams: String) async throws {
        for arguments in ["events", "events --ceilometer", "events --json"] {
            let end = try await self.run(arguments, streams)
            #expect(end.status == .exited(1))
            #expect(end.errorText.contains("Standard output cannot be written to"))
        }
    }

    @Test("A closed standard error does not change the exit status", arguments: ["2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
    func closedStandardError(_ streams: String) async throws {
        let end = try await self.run("events --set no.such=1", streams)
        #expect(end.status == .exited(78))
        let guest = try await Program("/bin/sh").run([
            "-c", "exec \"$0\" exec --context /none -- true \(streams)", Program.guestAgent.path,
        ])
        #expect(guest.status == .exited(78))
    }

    @Test("events lists each event with its queue and state, also those of further catalogues")
    func eventList() async throws {
        try await RelayFixture.with { relay in
            let file = try relay.write(
                "messaging: {topic: events}\ncatalogue: {files: [\(Self.magnetodb)], disable: [\"magnetodb.data.*\"]}\n",
                to: "conductor.yaml")
            let end = try await Program.conductor.run(["events", "--config", file])
            #expect(end.status == .exited(0), "\(end.errorText)")
            let lines = end.standardOutput.map { $0.split(separator: " ").map(String.init) }
            #expect(lines.count == 120 + 21)
            for line in [
                ["dbaas.user_grant.error", "events.error", "on"], ["magnetodb.table.usage", "events.info", "off"],
                ["magnetodb.data.putitem", "events.info", "off"], ["magnetodb.table.delete.end", "events.info", "on"],
            ] {
                #expect(lines.contains(line))
            }
        }
    }

    @Test("One event is printed with its fields: their presence, type and owner")
    func oneEvent() async throws {
        let end = try await Program.conductor.run(["events", "dbaas.database_create.end"])
        #expect(end.status == .exited(0), "\(end.errorText)")
        #expect(end.standardOutput.first == "dbaas.database_create.end")
        #expect(end.standardOutput.contains("  queue notification.info, published"))
        #expect(end.standardOutput.contains("  operation database_create"))
        let rows = end.standardOutput.map { $0.split(separator: " ").map(String.init) }
        for begin in [
            ["tenant_id", "required", "text,", "own", "tenant"], ["user_id", "optional", "text"],
            ["instance_id", "if", "known", "text,", "own", "instance"], ["dbname", "if", "known", "texts"],
        ] {
            #expect(rows.contains { $0.starts(with: begin) }, "\(begin)")
        }

        // An operation's name selects its events.
        let all = try await Program.conductor.run(["events", "database_create"])
        let types = all.standardOutput.filter { $0.hasPrefix("dbaas.") }
        #expect(types == ["start", "end", "error"].map { "dbaas.database_create.\($0)" })
        #expect(all.standardOutput.contains("  operation database_create, one for each value of dbname"))

        let alone = try await Program.conductor.run(["events", "dbaas.quota"])
        #expect(alone.standardOutput.contains("  real Trove calls it dbaas.quota"))

        let json = try await Program.conductor.run(["events", "dbaas.database_create.end", "--json"])
        let object =
            try JSONSerialization.jsonObject(with: Data(json.standardOutput.joined().utf8))
            as? [String: [[String: Any]]]
        let event = try #require(object?["events"]?.first)
        #expect(event["event_type"] as? String == "dbaas.database_create.end")
        let fields = try #require(event["fields"] as? [[String: Any]])
        let instance = try #require(fields.first { $0["name"] as? String == "instance_id" })
        #expect(instance["role"] as? String == "instance")
    }

    @Test("An unknown event is rejected with a suggestion, and one event has no Markdown form")
    func unknownEvent() async throws {
        let none = try await Program.conductor.run(["events", "dbaas.quotsa"])
        #expect(none.status == .exited(65))
        #expect(
            none.errorText == #"conductor: No catalogue has the event "dbaas.quotsa" (did you mean dbaas.quotas?)."#)
        let form = try await Program.conductor.run(["events", "dbaas.quotas", "--markdown"])
        #expect(form.status == .exited(64))
    }

    @Test("Further catalogues follow the built-in ones in the Markdown and the JSON")
    func furtherCatalogues() async throws {
        let set = ["--set", "catalogue.files=\(Self.magnetodb)", "--set", "catalogue.enable=magnetodb.table.usage"]
        let manual = try await Program.conductor.run(["events", "--markdown"] + set).standardOutput
        let headings = manual.filter { $0.hasPrefix("## `") }
        #expect(headings == ["## `dbaas`", "## `trove`", "## `magnetodb`"])
        #expect(manual.contains("### `magnetodb.data.getitem`"))
        let json = try await Program.conductor.run(["events", "--json"] + set).standardOutput
        try #require(json.count == 1)
        let object = try JSONSerialization.jsonObject(with: Data(json[0].utf8)) as? [String: [[String: Any]]]
        let catalogue = try #require(object?["catalogues"]?.last)
        #expect(catalogue["service"] as? String == "magnetodb")
        let usage = (catalogue["events"] as? [[String: Any]])?.first
        #expect(usage?["event_type"] as? String == "magnetodb.table.usage")
        #expect(usage?["published"] as? Bool == true)
    }

    @Test("An invalid catalogue ends each command with 78 and a sentence that names the setting")
    func invalidCatalogues() async throws {
        try await RelayFixture.with { relay in
            let config = try relay.conductorFile()
            let wrong = try relay.write("service: shop\nevents: {usage: [cuont]}\n", to: "wrong.yaml")
            let dbaas = try relay.write("service: dbaas\nevents: {usage: []}\n", to: "dbaas.yaml")
            let cases = [
                (["catalogue.files=\(wrong)"], "catalogue.files: \(wrong):2: events.usage names cuont, which"),
                (
                    ["catalogue.files=\(relay.path("none"))"],
                    "catalogue.files: The catalogue file \(relay.path("none"))"
                ),
                (["catalogue.files=\(dbaas)"], "catalogue.files: the service dbaas has two catalogues."),
                (
                    ["catalogue.files=\(Self.magnetodb)", "catalogue.files=\(Self.magnetodb)"],
                    "catalogue.files: the service magnetodb has two catalogues."
                ),
                (["catalogue.enable=shop.*"], "catalogue.enable: shop.* matches no event; "),
                (
                    ["catalogue.disable=dbaas.database_crate.end"],
                    "catalogue.disable: dbaas.database_crate.end matches no event; "
                ),
            ]
            for command in ["serve", "check-config", "events"] {
                for (set, sentence) in cases {
                    let end = try await Program.conductor.run(
                        [command, "--config", config] + set.flatMap { ["--set", $0] })
                    #expect(end.status == .exited(78), "\(command) \(set)")
                    #expect(end.errorText.hasPrefix("conductor: \(sentence)"), "\(end.errorText)")
                    #expect(end.standardError.count == 1)
                }
            }
        }
    }

    @Test("events rejects an unknown setting and two formats at once")
    func wrongArguments() async throws {
        let unknown = try await Program.conductor.run(["events", "--set", "catalog.files=x"])
        #expect(unknown.status == .exited(78))
        #expect(unknown.errorText.contains("did you mean catalogue.files?"), "\(unknown.errorText)")
        let both = try await Program.conductor.run(["events", "--json", "--markdown"])
        #expect(both.status == .exited(64))
    }
}
