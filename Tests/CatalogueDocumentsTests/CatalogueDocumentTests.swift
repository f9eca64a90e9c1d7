// SPDX-License-Identifier: Apache-2.0

import CatalogueDocuments
import Foundation
import Notifications
import Testing

@Suite struct CatalogueDocumentTests {
    private static func file(_ path: String) throws -> Data {
        try Data(contentsOf: URL(fileURLWithPath: #filePath).appending(path: "../../../\(path)").standardizedFileURL)
    }

    private static func shop(switchedOn: [String] = [], switchedOff: [String] = []) throws -> CatalogueDocument {
        let name = FieldDefinition.required("name", "Its name | or <none>", nullable: true)
        let error = [FieldDefinition.required("message", "Text"), .optional("shelf", "Shelf")]
        let shop = Catalogue(
            service: "shop", description: "A shop.", baseFields: [.required("tenant_id", "Tenant")],
            identifiers: ["shelf"],
            operations: [
                OperationDefinition(
                    key: "sell", restAPI: "POST v1/sales", note: "Seldom.",
                    start: EventDefinition(
                        eventType: "shop.sell.start",
                        fields: [
                            name, .optional("shelf", "Shelf"),
                            .optional("goods", "What is sold", .texts, changes: true),
                            .required("machine", "Who sells", nullable: true, role: .instance),
                        ]),
                    end: EventDefinition(eventType: "shop.sell.end", fields: [name]),
                    error: EventDefinition(eventType: "shop.sell.error", priority: .error, fields: error),
                    oneForEach: "goods"),
                OperationDefinition(
                    key: "look", start: nil, end: EventDefinition(eventType: "shop.look", fields: []),
                    error: EventDefinition(eventType: "shop.look.error", priority: .error, fields: error)),
            ],
            events: [
                EventDefinition(
                    eventType: "shop.usage", alternateEventType: "shop.use", priority: .sample,
                    fields: [.required("count", "How many", .integer)], isOnByDefault: false, description: "In use.")
            ])
        return CatalogueDocument(
            try Catalogues([shop], switchedOn: switchedOn, switchedOff: switchedOff), topic: "events")
    }

    @Test("Docs/events.md is what the catalogue generates")
    func manualIsCurrent() throws {
        let manual = String(decoding: try Self.file("Docs/events.md"), as: UTF8.self)
        let written = CatalogueDocument(.builtIn, topic: "notification").markdown()
        #expect(manual == written, "it is stale: conductor events --markdown > Docs/events.md")
    }

    @Test("The list has a line for each event")
    func listOfEvents() throws {
        #expect(
            try Self.shop(switchedOff: ["shop.sell.end"]).list() == """
                shop.sell.start  events.info    on
                shop.sell.end    events.info    off
                shop.sell.error  events.error   on
                shop.look        events.info    on
                shop.look.error  events.error   on
                shop.usage       events.sample  off

                """)
        #expect(try Self.shop(switchedOn: ["shop.use"]).list().contains("shop.usage       events.sample  on"))
    }

    @Test("The manual has a section for each operation and event")
    func sectionPerEvent() throws {
        let markdown = try Self.shop(switchedOff: ["shop.sell.end"]).markdown()
        let section = try #require(markdown.firstRange(of: "## `shop`\n"))
        #expect(
            markdown[section.lowerBound...] == #"""
                ## `shop`

                A shop.

                Every event of these operations has:

                | field | type | start | end | error | |
                |---|---|---|---|---|---|
                | `tenant_id` | text | required | required | required | Tenant |
                | `message` | text |  |  | required | Text |
                | `shelf` | text |  |  | optional | Shelf |

                ### `shop.sell`

                - Events: `shop.sell.start`, `.end`, `.error`
                - REST: `POST v1/sales`
                - One operation for each value of `goods`.
                - Seldom.
                - Switched off: `shop.sell.end`

                | field | type | start | end | error | |
                |---|---|---|---|---|---|
                | `name` | text or null | required | required |  | Its name \| or \<none> |
                | `shelf` | text | optional | if known | optional | Shelf |
                | `goods` | texts, changes | optional |  |  | What is sold |
                | `machine` | text or null, own instance | required |  |  | Who sells |

                ### `shop.look`

                - Events: `shop.look` (end), `shop.look.error` (error)

                No fields of its own.

                ### `shop.usage`

                In use. Real Trove calls it `shop.use`. On the queue `<topic>.sample`. Switched off.

                | field | type | | |
                |---|---|---|---|
                | `count` | integer | required | How many |

                """#)
    }

    /// Compares the JSON for programs with the specification's table, which was extracted from the document itself.
    @Test("The JSON has the operations and required fields of the specification")
    func jsonMatchesSpecification() throws {
        let json = try JSONValue(json: Array(CatalogueDocument(.builtIn, topic: "notification").json().utf8))
        let catalogues = (json.object?["catalogues"]?.array ?? []).compactMap(\.object)
        #expect(catalogues.map { $0["service"]?.string } == ["dbaas", "trove"])
        let operations = (catalogues.first?["operations"]?.array ?? []).compactMap(\.object)
        let specification = try #require(
            try JSONValue(json: Array(Self.file("Tests/Compatibility/specification.json"))).array)
        for entry in specification.compactMap(\.object) {
            let operation = try #require(operations.first { $0["operation"] == entry["operation"] })
            #expect(operation["rest_api"] == entry["rest_api"])
            #expect(operation["python_api"] == entry["python_api"])
            for phase in ["start", "end", "error"] {
                let (event, expected) = (operation[phase]?.object, try #require(entry[phase]?.object))
                #expect(event?["event_type"] == expected["event_type"])
                #expect(event?["queue"] == expected["queue"])
                #expect(event?["published"] == true)
                let fields = (event?["fields"]?.array ?? []).compactMap(\.object)
                var required = Set((expected["required"]?.array ?? []).compactMap(\.string))
                if expected["event_type"] == "dbaas.instance_create.error" { required.remove("instance_id") }
                #expect(
                    Set(fields.filter { $0["required"] == true }.compactMap { $0["name"]?.string }) == required)
            }
        }
    }

    @Test("The JSON has the other facts of a catalogue")
    func jsonFacts() throws {
        let json = try JSONValue(json: Array(try Self.shop().json().utf8))
        let shop = try #require(json.object?["catalogues"]?.array?.first?.object)
        #expect(shop["identifiers"] == ["shelf"])
        #expect(
            shop["base_fields"] == [
                [
                    "name": "tenant_id", "type": "text", "required": true, "nullable": false, "alternate_name": nil,
                    "role": nil, "changes": false, "description": "Tenant",
                ]
            ])
        let operations = try #require(shop["operations"]?.array).compactMap(\.object)
        #expect(operations[0]["one_for_each"] == "goods")
        let roles = try #require(operations[0]["start"]?.object?["fields"]?.array).map { $0.object?["role"] }
        #expect(roles == [.null, .null, .null, "instance"])
        #expect(operations[1]["operation"] == "shop.look")
        #expect(operations[1]["start"] == .null)
        #expect(operations[1]["rest_api"] == .null)
        let usage = try #require(shop["events"]?.array?.first?.object)
        #expect(usage["alternate_event_type"] == "shop.use")
        #expect(usage["published"] == false)
        #expect(usage["queue"] == "events.sample")
        #expect(usage["priority"] == "sample")
        #expect(usage["description"] == "In use.")
    }
}
