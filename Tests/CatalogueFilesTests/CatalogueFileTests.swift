// SPDX-License-Identifier: Apache-2.0

import CatalogueFiles
import Foundation
import Notifications
import Testing

@Suite("Catalogue files", .timeLimit(.minutes(1)))
struct CatalogueFileTests {
    private static let magnetodb = URL(fileURLWithPath: #filePath)
        .appending(path: "../../../deploy/catalogues/magnetodb.yaml").standardizedFileURL.path

    @Test("Every key of a file is read into the catalogue")
    func everything() throws {
        let catalogue = try CatalogueFixture.read(
            """
            service: shop
            description: >
              A shop,
              with goods.
            base_fields: [request_id, tenant_id]
            identifiers: [shelf]
            fields:
              shelf: Where it stands
              goods: {type: texts, description: What is sold, nullable: true}
              price: {type: number, description: What it costs}
              machine: {role: instance, description: Who sold it}
              project: {role: tenant, type: text, nullable: true, description: For whom}
              state: {changes: true, description: What became of it}
            operations:
              goods.sell:
                rest: POST v1/sales
                python: goods.sell(shelf)
                note: Seldom.
                one_for_each: goods
                start: [shelf, goods]
                end: {fields: [price, "shelf?", machine, project?, state], enabled: false}
                error: [price?, state?]
              look:
                end: {event_type: shop.look}
            events:
              stock.usage: {priority: sample, description: In use., fields: [tenant_id, user_id, server_ip?]}
            """)
        #expect(catalogue.service == "shop")
        #expect(catalogue.description == "A shop, with goods.")
        #expect(catalogue.baseFields.map(\.name) == ["request_id", "tenant_id"])
        #expect(catalogue.identifiers == ["shelf"])
        let message = FieldDefinition.required("message", "The exception's text")
        let exception = FieldDefinition.required(
            "exception", "The exception's trace, which ends in its type and text", .texts)
        #expect(
            catalogue.operations == [
                OperationDefinition(
                    key: "goods.sell", pythonAPI: "goods.sell(shelf)", restAPI: "POST v1/sales", note: "Seldom.",
                    start: EventDefinition(
                        eventType: "shop.goods.sell.start",
                        fields: [
                            .required("shelf", "Where it stands"),
                            .required("goods", "What is sold", .texts, nullable: true),
                        ]),
                    end: EventDefinition(
                        eventType: "shop.goods.sell.end",
                        fields: [
                            .required("price", "What it costs", .number), .optional("shelf", "Where it stands"),
                            .required("machine", "Who sold it", role: .instance),
                            .optional("project", "For whom", role: .tenant),
                            .required("state", "What became of it", changes: true),
                        ], isOnByDefault: false),
                    error: EventDefinition(
                        eventType: "shop.goods.sell.error", priority: .error,
                        fields: [
                            message, exception, .optional("price", "What it costs", .number),
                            .optional("state", "What became of it", changes: true),
                        ]),
                    oneForEach: "goods"),
                OperationDefinition(
                    key: "look", start: nil, end: EventDefinition(eventType: "shop.look", fields: []),
                    error: EventDefinition(
                        eventType: "shop.look.error", priority: .error, fields: [message, exception])),
            ])
        let usage = try #require(catalogue.events.first)
        #expect(catalogue.events.count == 1)
        #expect(usage.eventType == "shop.stock.usage")
        #expect(usage.priority == .sample)
        #expect(usage.isOnByDefault)
        #expect(usage.description == "In use.")
        #expect(usage.fields.map(\.name) == ["tenant_id", "user_id", "server_ip"])
        #expect(usage.fields.map(\.isRequired) == [true, true, false])
        #expect(usage.fields.map(\.isNullable) == [false, false, true])
    }

    @Test("Keys that a file omits have defaults")
    func defaults() throws {
        let catalogue = try CatalogueFixture.read("service: s\noperations: {o: {start: []}}\nevents: {e: []}\n")
        #expect(catalogue.baseFields == Catalogue.defaultBaseFields)
        #expect(catalogue.identifiers == [])
        #expect(catalogue.description == "")
        #expect(
            catalogue.allEvents.map(\.eventType) == ["s.o.start", "s.o.end", "s.o.error", "s.e"])
        #expect(catalogue.allEvents.map(\.priority) == [.info, .info, .error, .info])
        #expect(!catalogue.allEvents.contains { !$0.isOnByDefault })
    }

    @Test("Every kind of field is declared by its name")
    func kinds() throws {
        for kind in FieldDefinition.Kind.allCases {
            let catalogue = try CatalogueFixture.read(
                "service: s\nfields: {f: {type: \(kind.rawValue), description: d}}\nevents: {e: [f]}\n")
            #expect(catalogue.events.first?.fields == [.required("f", "d", kind)])
        }
    }

    @Test("An error event may declare its own message and exception fields")
    func ownMessage() throws {
        let catalogue = try CatalogueFixture.read(
            """
            service: s
            fields: {message: Mine, exception: {type: any, description: Mine too}}
            operations: {o: {error: [exception?, message]}}
            """)
        #expect(
            catalogue.operations.first?.error.fields == [
                .optional("exception", "Mine too", .any), .required("message", "Mine"),
            ])
    }

    @Test("The example in Docs/operations.md is a valid catalogue")
    func example() throws {
        let manual = URL(fileURLWithPath: #filePath).appending(path: "../../../Docs/operations.md").standardizedFileURL
        let text = try String(contentsOf: manual, encoding: .utf8)
        let block = try #require(text.components(separatedBy: "```yaml\n").first { $0.hasPrefix("service: ") })
        let catalogue = try CatalogueFixture.read(try #require(block.components(separatedBy: "```").first))
        #expect(
            catalogue.allEvents.map(\.eventType) == [
                "shop.goods.sell.start", "shop.goods.sell.end", "shop.goods.sell.error", "shop.goods.look",
                "shop.goods.look.error", "shop.stock.usage",
            ])
        #expect(catalogue.operations.first?.oneForEach == "goods")
    }

    /// Reads the file that is shipped, next to MagnetoDB's notification specification.
    @Test("The shipped MagnetoDB catalogue has the events and fields of MagnetoDB's specification")
    func magnetodb() throws {
        let catalogue = try Catalogue(file: Self.magnetodb)
        #expect(catalogue.baseFields.map(\.name) == ["tenant_id", "user_id"])
        #expect(
            Set(catalogue.allEvents.map(\.eventType)) == [
                "magnetodb.table.create.start", "magnetodb.table.create.end", "magnetodb.table.create.error",
                "magnetodb.table.delete.start", "magnetodb.table.delete.end", "magnetodb.table.delete.error",
                "magnetodb.table.usage", "magnetodb.data.getitem", "magnetodb.data.getitem.error",
                "magnetodb.data.putitem", "magnetodb.data.putitem.error", "magnetodb.data.updateitem",
                "magnetodb.data.updateitem.error", "magnetodb.data.deleteitem", "magnetodb.data.deleteitem.error",
                "magnetodb.data.query.start", "magnetodb.data.query.end", "magnetodb.data.query.error",
                "magnetodb.data.scan.start", "magnetodb.data.scan.end", "magnetodb.data.scan.error",
            ])
        #expect(catalogue.allEvents.filter { !$0.isOnByDefault }.map(\.eventType) == ["magnetodb.table.usage"])
        for operation in catalogue.operations {
            #expect(operation.error.priority == .error)
            guard operation.key.hasPrefix("table.") else { continue }
            for event in operation.events {
                #expect(
                    Set(event.fields.map(\.name)).isSuperset(of: [
                        "table_name", "table_schema", "state", "disk_gb", "message",
                    ]), "\(event.eventType)")
            }
        }
        #expect(
            catalogue.events.first?.fields.map(\.name) == [
                "tenant_id", "user_id", "table_name", "table_schema", "state", "disk_gb", "message",
            ])
        // The built-in catalogues stay available, and operations of this one are named after their service.
        let all = try Catalogues(Catalogues.builtIn.catalogues + [catalogue])
        #expect(all.operation("magnetodb.table.create") != nil)
        #expect(all.operation("table.create") == nil)
        #expect(all.event("magnetodb.table.usage")?.isPublished == false)
    }
}
