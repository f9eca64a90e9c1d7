// SPDX-License-Identifier: Apache-2.0

import Foundation
import Notifications
import Testing

/// The catalogue, compared with the specification's table, which was extracted from the document itself.
@Suite struct CatalogueTests {
    private static func specification() throws -> [JSONObject] {
        let file = URL(fileURLWithPath: #filePath).appending(path: "../../Compatibility/specification.json")
        let value = try JSONValue(json: Array(Data(contentsOf: file.standardizedFileURL)))
        return try #require(value.array).compactMap(\.object)
    }

    private static func strings(_ value: JSONValue?) -> [String] { (value?.array ?? []).compactMap(\.string) }

    @Test("The catalogue has every operation of the specification")
    func specifiedOperations() throws {
        let specification = try Self.specification()
        #expect(specification.count == 29)
        for entry in specification {
            let key = try #require(entry["operation"]?.string)
            let operation = try #require(Catalogues.builtIn.operation(key)?.definition, "\(key)")
            #expect(operation.restAPI == entry["rest_api"]?.string)
            #expect(operation.pythonAPI == entry["python_api"]?.string)
            for phase in OperationPhase.allCases {
                let event = try #require(operation.event(phase))
                let expected = try #require(entry[phase.rawValue]?.object)
                #expect(event.eventType == expected["event_type"]?.string)
                #expect("notification.\(event.priority.rawValue)" == expected["queue"]?.string)
                var required = Self.strings(expected["required"])
                // The one place where the catalogue is less strict, as its documentation says.
                if event.eventType == "dbaas.instance_create.error" { required.removeAll { $0 == "instance_id" } }
                #expect(Set(event.fields.filter(\.isRequired).map(\.name)) == Set(required), "\(event.eventType)")
                let declared = Set(event.fields.map(\.name))
                #expect(declared.isSuperset(of: Self.strings(expected["optional"])), "\(event.eventType)")
            }
        }
    }

    @Test("The catalogue has nine more operations that only real Trove has")
    func troveOperations() throws {
        let specified = Set(try Self.specification().compactMap { $0["operation"]?.string })
        let others = Catalogue.dbaas.operations.map(\.key).filter { !specified.contains($0) }
        #expect(
            others == [
                "instance_reboot", "instance_reset_status", "cluster_restart", "cluster_upgrade",
                "cluster_reset_status", "cluster_attach_configuration", "cluster_detach_configuration", "upgrade",
                "migrate",
            ])
        #expect(Set(Catalogue.dbaas.operations.compactMap(\.troveClass)).count == 38)
        #expect(Catalogues.builtIn.catalogues.flatMap(\.allEvents).count == 87 + 9 * 3 + 6)
    }

    @Test("An operation is found by its name with and without its service")
    func operationNames() {
        #expect(Catalogues.builtIn.operation("dbaas.user_grant")?.definition.key == "user_grant")
        #expect(Catalogues.builtIn.operation("user_grant")?.definition.key == "user_grant")
        #expect(Catalogues.builtIn.operation("instance.exists") == nil)
        #expect(Catalogues.builtIn.operation("trove.instance.exists") == nil, "no guest reports what exists")
    }

    @Test("The quota event is published under either spelling of its type")
    func quotaSpellings() throws {
        for eventType in ["dbaas.quotas", "dbaas.quota"] {
            let event = try #require(Catalogues.builtIn.event(eventType))
            let notification = try event.notification(
                values: ["resource": "volumes", "in_use": 1, "reserved": 0, "limit": 5, "updated": nil],
                publisherID: "taskmanager.host")
            #expect(notification.message.eventType == eventType)
        }
    }

    @Test("A field is accepted under either of its two names")
    func fieldSpellings() throws {
        let event = try #require(Catalogues.builtIn.event("dbaas.instance_create.start"))
        let base: JSONObject = [
            "tenant_id": "t", "client_ip": "c", "server_ip": "s", "server_type": "api", "request_id": "r",
            "name": "n", "datastore": "mysql", "datastore_version": "8",
        ]
        var values = base
        values["flavor_id"] = 7
        let trove = try event.notification(values: values, publisherID: "api.host")
        #expect(trove.message.payload["flavor"] == 7)
        #expect(trove.message.payload["flavor_id"] == 7)
        #expect(trove.undeclaredFields.isEmpty)
        values = base
        values["flavor"] = "7"
        let document = try event.notification(values: values, publisherID: "api.host")
        #expect(document.message.payload["flavor"] == "7")
        #expect(document.message.payload["flavor_id"] == nil)
        #expect(throws: FieldError(field: "payload.flavor", problem: "is missing")) {
            try event.notification(values: base, publisherID: "api.host")
        }
    }

    @Test("Undeclared fields are left out and named")
    func undeclaredFields() throws {
        let operation = try #require(Catalogues.builtIn.operation("backup_create"))
        let notification = try operation.notification(
            of: .end(payload: ["backup_id": "b", "colour": "red"]),
            context: NotificationContext(
                operation: "backup_create", requestID: "r", tenantID: "t", clientIP: "c",
                payload: ["instance_id": "i", "name": "n", "size": 5]),
            origin: NotificationOrigin(publisherID: "conductor.c", serverType: "conductor", serverIP: "s"),
            messageID: MessageID(), timestamp: .now())
        #expect(notification.undeclaredFields == ["colour", "size"])
        #expect(
            notification.message.payload == [
                "tenant_id": "t", "client_ip": "c", "server_ip": "s", "server_type": "conductor", "request_id": "r",
                "backup_id": "b", "instance_id": "i",
            ])
    }

    @Test("Operators can switch events on and off")
    func switchedEvents() throws {
        let usage = EventDefinition(eventType: "shop.usage", fields: [], isOnByDefault: false)
        let shop = Catalogue(service: "shop", description: "", events: [usage])
        #expect(try Catalogues([shop]).event("shop.usage")?.isPublished == false)
        #expect(try Catalogues([shop], switchedOn: ["shop.*"]).event("shop.usage")?.isPublished == true)
        #expect(
            try Catalogues([shop], switchedOn: ["shop.usage"], switchedOff: ["shop.usage"])
                .event("shop.usage")?.isPublished == false)
        let quiet = try Catalogues([.dbaas], switchedOff: ["dbaas.user_create.end"])
        #expect(quiet.operation("user_create")?.isPublished(.end) == false)
        #expect(quiet.operation("user_create")?.isPublished(.error) == true)
        #expect(throws: CatalogueError.self) { try Catalogues([shop], switchedOn: ["shop.usge"]) }
        #expect(throws: CatalogueError.self) { try Catalogues([shop, shop]) }
    }

    /// With such a field, a guest's payload could set the base field.
    @Test(
        "An operation that declares a base field as its own is rejected",
        arguments: Catalogue.defaultBaseFields.map(\.name))
    func baseFieldRedeclared(name: String) {
        for field in [FieldDefinition.optional(name, ""), .optional("mine", "", alternate: name)] {
            for phase in OperationPhase.allCases {
                func event(_ own: OperationPhase) -> EventDefinition {
                    EventDefinition(eventType: "shop.sell.\(own.rawValue)", fields: own == phase ? [field] : [])
                }
                let operation = OperationDefinition(
                    key: "sell", start: event(.start), end: event(.end), error: event(.error))
                let error = #expect(throws: CatalogueError.self) {
                    try Catalogues([Catalogue(service: "shop", description: "", operations: [operation])])
                }
                #expect(error?.description.contains("shop.sell declares the base field \(name) as its own") == true)
            }
        }
    }

    private static let kinds: [(FieldDefinition.Kind, JSONValue, Bool)] = [
        (.integer, "12", true), (.integer, "1.5", false), (.integer, 12, true), (.text, 7, true), (.text, true, false),
        (.number, "0.5", true), (.number, "inf", false), (.number, "0x1p3", false), (.number, "1e999", false),
        (.number, 7, true), (.boolean, false, true), (.boolean, "false", false),
        (.texts, ["a"], true), (.texts, [1], false), (.timestamp, "2015-06-28T05:54:52Z", true),
        (.timestamp, "yesterday", false), (.any, ["a": 1], true),
        (.any, [["a": ["__type__": "uuid", "__value__": "x"]]], false),
    ]

    @Test("A field accepts only values of its kind", arguments: Self.kinds)
    func fieldKinds(kind: FieldDefinition.Kind, value: JSONValue, isTaken: Bool) throws {
        let event = EventDefinition(
            eventType: "shop.x", fields: [FieldDefinition(name: "f", kind: kind, isRequired: true, description: "")])
        let catalogues = try Catalogues([Catalogue(service: "shop", description: "", events: [event])])
        let payload = try? catalogues.event("shop.x")?.notification(values: ["f": value], publisherID: "p").message
            .payload
        #expect((payload != nil) == isTaken)
    }
}
