// SPDX-License-Identifier: Apache-2.0

import CatalogueFiles
import ConductorRPC
import ConductorService
import ContextSigning
import Foundation
import Notifications
import Notifier
import Testing

/// All catalogues, Trove's and the shipped files: with signatures required, a guest cannot make the conductor publish a
/// name of another instance, tenant, request, client or subject than the control plane has signed, nor another value of
/// any signed field, unless the catalogue says that it changes.
@Suite(.timeLimit(.minutes(5))) struct SignedCatalogueTests {
    private static let forged = "forged-b"
    private static let forgedNumber = 987_654

    /// The part of a report in which a guest sets a field.
    private enum Place { case outcome, context }

    private struct Attempt {
        let operation: OperationDefinition
        let phase: OperationPhase
        /// The context that the control plane signs: again for each report, since an operation ends once.
        let context: NotificationContext
        let instance: String?

        /// The field of this name, in the event or else in the start.
        func field(_ name: String) -> FieldDefinition? {
            let fields = (self.operation.event(self.phase)?.fields ?? []) + (self.operation.start?.fields ?? [])
            return fields.first { $0.name == name || $0.alternateName == name }
        }
    }

    /// A service whose fields have none of Trove's names, or have other meanings under names that sound like Trove's.
    private static let shop: Catalogue = {
        let machine = FieldDefinition.optional("machine", "Who sells", alternate: "machine_id", role: .instance)
        let owner = FieldDefinition.optional("owner", "For whom", role: .tenant)
        let own: [FieldDefinition] = [
            .optional("price", "p", .number), .optional("paid", "p", .boolean), .optional("sold_at", "s", .timestamp),
            .optional("instance", "How many", .integer), .optional("project_id", "A project of the shop's"),
        ]
        let error: [FieldDefinition] = [.required("message", ""), .required("exception", "", .texts)]
        return Catalogue(
            service: "shop", description: "Sales.", baseFields: [], identifiers: ["shelf", "machine", "owner"],
            operations: [
                OperationDefinition(
                    key: "goods.sell",
                    start: EventDefinition(
                        eventType: "shop.goods.sell.start",
                        fields: [.required("shelf", "s", alternate: "shelf_id"), machine, owner] + own),
                    end: EventDefinition(
                        eventType: "shop.goods.sell.end", fields: own + [owner, .optional("receipt", "r")]),
                    error: EventDefinition(
                        eventType: "shop.goods.sell.error", priority: .error, fields: error + own + [machine])),
                OperationDefinition(
                    key: "goods.look", start: nil,
                    end: EventDefinition(eventType: "shop.goods.look", fields: own + [machine, owner]),
                    error: EventDefinition(eventType: "shop.goods.look.error", priority: .error, fields: error)),
            ])
    }()

    /// The catalogues of `deploy/catalogues`.
    private static func shipped() throws -> [Catalogue] {
        let directory = URL(fileURLWithPath: #filePath).appending(path: "../../../deploy/catalogues")
            .standardizedFileURL
        let files = try FileManager.default.contentsOfDirectory(atPath: directory.path).filter { $0.hasSuffix(".yaml") }
        return try files.sorted().map { try Catalogue(file: directory.appending(path: $0).path) }
    }

    private static func value(_ field: FieldDefinition) -> JSONValue {
        switch (field.role, field.kind) {
        case (.instance?, _): "inst-1"
        case (.tenant?, _): "tenant-1"
        case (nil, .integer), (nil, .number): 5
        case (nil, .boolean): true
        case (nil, .timestamp): "2015-06-28T05:54:52Z"
        case (nil, .text), (nil, .texts), (nil, .any): .string("own-\(field.name)")
        }
    }

    /// Another value that the field could hold.
    private static func forgery(_ kind: FieldDefinition.Kind?) -> JSONValue {
        switch kind {
        case .integer, .number: .number(JSONNumber(Self.forgedNumber))
        case .boolean: false
        case .timestamp: "1999-12-31T23:59:59Z"
        case .text, .texts, .any, nil: .string(Self.forged)
        }
    }

    private static func report(_ attempt: Attempt, _ guest: SignedGuest) throws -> OutcomeReport {
        var payload = JSONObject()
        for field in attempt.operation.event(attempt.phase)?.fields ?? []
        where field.isRequired && !["message", "exception"].contains(field.name) {
            payload[field.name] = Self.value(field)
        }
        return OutcomeReport(
            context: try guest.signer.sign(attempt.context, instanceID: attempt.instance),
            outcome: attempt.phase == .end
                ? .end(payload: payload) : .error(ExceptionInfo(etype: "E", value: "v"), payload: payload))
    }

    private static func setting(
        _ name: String, to value: JSONValue, in report: OutcomeReport, at place: Place
    ) -> OutcomeReport {
        var report = report
        switch place {
        case .context: report.context.payload[name] = value
        case .outcome:
            var payload = report.outcome.payload
            payload[name] = value
            switch report.outcome {
            case .end: report.outcome = .end(payload: payload)
            case .error(let exception, _): report.outcome = .error(exception, payload: payload)
            }
        }
        return report
    }

    /// Returns the names of all fields of the operations' events, and more.
    private static func names(_ catalogue: Catalogue) -> [String] {
        var names: Set<String> = [
            "server_ip", "server_type", "publisher_id", "event_type", "operation", "tenant", "project_id", "instance",
            "instance_id", "message_id", "timestamp", "priority", "_context_tenant", "token",
        ]
        for field in Catalogue.defaultBaseFields + catalogue.operations.flatMap(\.events).flatMap(\.fields) {
            names.insert(field.name)
            if let alternate = field.alternateName { names.insert(alternate) }
        }
        return names.subtracting(["exception"]).sorted()
    }

    private static func attempts(_ catalogue: Catalogue, instance: String?) -> [Attempt] {
        var attempts: [Attempt] = []
        for operation in catalogue.operations {
            for isFull in [true, false] {
                var payload = JSONObject()
                for field in (operation.start ?? operation.end).fields where field.isRequired || isFull {
                    payload[field.name] = Self.value(field)
                }
                let name = catalogue.service == "dbaas" ? operation.key : "\(catalogue.service).\(operation.key)"
                let context = NotificationContext(
                    operation: name, requestID: "req-1", tenantID: "tenant-1", userID: "user-1",
                    clientIP: "192.0.2.7", payload: payload, requestContext: ["roles": ["member"]])
                for phase in [OperationPhase.end, .error] {
                    attempts.append(
                        Attempt(operation: operation, phase: phase, context: context, instance: instance))
                }
            }
        }
        return attempts
    }

    /// The fields that a guest has made the conductor publish, by name.
    private struct Leaks {
        /// Fields that the control plane signed with another value.
        var signed: Set<String> = []
        /// Fields that were not signed.
        var unsigned: Set<String> = []

        var isEmpty: Bool { self.signed.isEmpty && self.unsigned.isEmpty }
    }

    /// - Returns: the fields in which the guest's value was published.
    private func leaks(_ report: OutcomeReport, _ attempt: Attempt, _ guest: SignedGuest, _ driver: TestDriver) async
        -> Leaks
    {
        let before = driver.notifications.count
        _ = await guest.answer(report)
        var leaks = Leaks()
        for message in driver.notifications.dropFirst(before) {
            for member in message.payload.members {
                let field = attempt.field(member.name)
                let signed = field.flatMap { attempt.context.payload[$0.name] }
                if attempt.phase == .error, member.name == "message" {
                    #expect(member.value == "v")
                } else if let signed {
                    if member.value != signed { leaks.signed.insert(member.name) }
                } else if member.value == Self.forgery(field?.kind) || "\(member)".contains(Self.forged) {
                    leaks.unsigned.insert(member.name)
                }
                if let role = field?.role {
                    #expect(member.value == (role == .instance ? "inst-1" : "tenant-1"), "\(member.name)")
                }
            }
            for member in message.context.members where "\(member)".contains(Self.forged) {
                leaks.unsigned.insert(member.name)
            }
            for text in [message.eventType, message.publisherID] where text.contains(Self.forged) {
                leaks.unsigned.insert("its event or publisher")
            }
        }
        return leaks
    }

    /// - Returns: the leaks, by `operation.phase: field`.
    private func leaks(of catalogue: Catalogue, instance: String?) async throws -> Leaks {
        let driver = TestDriver()
        let guest = try SignedGuest(driver, catalogues: try Catalogues([catalogue]))
        var leaks = Leaks()
        for attempt in Self.attempts(catalogue, instance: instance) {
            let place = "\(attempt.operation.key).\(attempt.phase.rawValue)"
            for name in Self.names(catalogue) {
                // One digest covers the context's whole payload: a few of its fields represent the others.
                let places: [Place] =
                    ["instance_id", "dbname", "tenant_id", "shelf"].contains(name) ? [.outcome, .context] : [.outcome]
                for said in places {
                    let report = try Self.setting(
                        name, to: Self.forgery(attempt.field(name)?.kind), in: Self.report(attempt, guest), at: said)
                    let found = await self.leaks(report, attempt, guest, driver)
                    leaks.signed.formUnion(found.signed.map { "\(place): \($0)" })
                    leaks.unsigned.formUnion(found.unsigned.map { "\(place): \($0)" })
                }
            }
            // An honest guest's report is accepted, whatever was signed of its instance.
            let answer = await guest.answer(try Self.report(attempt, guest))
            #expect(answer.failure == nil, "\(place): \(answer)")
        }
        return leaks
    }

    @Test(
        "A guest can change no signed field of Trove's, and sets only the ids of what it creates",
        arguments: [nil, "inst-1"])
    func troveFields(instance: String?) async throws {
        let leaks = try await self.leaks(of: .dbaas, instance: instance)
        #expect(leaks.signed == [])
        // The id of what an operation has created is new, and is for its end to report.
        #expect(
            leaks.unsigned == [
                "backup_create.end: backup_id", "cluster_create.end: cluster_id",
                "configuration_create.end: configuration_id",
            ])
    }

    /// Another service's identifiers are published as signed, and so are its other fields; a field that was not signed
    /// is for the guest to set.
    @Test("A guest can change no signed field of another service", arguments: [nil, "inst-1"])
    func otherServiceFields(instance: String?) async throws {
        let leaks = try await self.leaks(of: Self.shop, instance: instance)
        #expect(leaks.signed == [])
        let own = ["price", "paid", "sold_at", "instance", "project_id"]
        #expect(
            leaks.unsigned
                == Set(
                    (own + ["receipt"]).map { "goods.sell.end: \($0)" } + own.map { "goods.sell.error: \($0)" }
                        + own.map { "goods.look.end: \($0)" }))
    }

    @Test(
        "Of the shipped catalogues' signed fields, a guest can change only state and message",
        arguments: [nil, "inst-1"])
    func shippedCatalogueFields(instance: String?) async throws {
        let catalogues = try Self.shipped()
        // For another shipped catalogue, list here which of its fields are for a guest to set.
        #expect(catalogues.map(\.service) == ["magnetodb"])
        for catalogue in catalogues {
            let leaks = try await self.leaks(of: catalogue, instance: instance)
            #expect(
                leaks.signed == [
                    "table.create.end: state", "table.create.end: message", "table.create.error: state",
                    "table.delete.end: state", "table.delete.end: message", "table.delete.error: state",
                ])
            #expect(!leaks.unsigned.contains { $0.hasSuffix(": table_name") }, "\(leaks.unsigned)")
        }
    }

    @Test("No member of the context publishes a forged name")
    func contextMembers() async throws {
        let driver = TestDriver()
        let guest = try SignedGuest(driver)
        for attempt in Self.attempts(.dbaas, instance: "inst-1") {
            let members = attempt.context.json.members.map(\.name) + ["traceparent", "server_ip", "server_type"]
            for name in members {
                var report = try Self.report(attempt, guest)
                var json = report.context.json
                let isObject = ["payload", "request_context"].contains(name)
                json[name] = isObject ? ["domain": .string(Self.forged)] : .string(Self.forged)
                report.context = try NotificationContext(json)
                #expect(await self.leaks(report, attempt, guest, driver).isEmpty, "\(name)")
            }
            for name in [
                "user", "project_id", "system_scope", "project", "domain", "user_domain", "project_domain",
                "is_admin", "auth_token", "request_id", "global_request_id", "resource_uuid", "roles", "user_identity",
                "limit", "marker", "service_catalog", "token",
            ] {
                var report = try Self.report(attempt, guest)
                report.context.requestContext = ["roles": ["member"]]
                report.context.requestContext?[name] = .string(Self.forged)
                #expect(await self.leaks(report, attempt, guest, driver).isEmpty, "request_context.\(name)")
            }
        }
    }

    /// Only fields that the catalogue marks may change; never an identifier or a name of the guest's, whatever the
    /// catalogue says of them.
    @Test("A guest can change only the fields that the catalogue marks as changing")
    func changingFields() async throws {
        let fields: [FieldDefinition] = [
            .optional("shelf", "s", changes: true), .optional("state", "s", changes: true), .optional("price", "p"),
            .optional("machine", "m", role: .instance, changes: true),
        ]
        let catalogue = Catalogue(
            service: "shop", description: "Sales.", identifiers: ["shelf"],
            operations: [
                OperationDefinition(
                    key: "sell",
                    start: EventDefinition(
                        eventType: "shop.sell.start", fields: [.optional("price", "p", alternate: "cost")] + fields),
                    end: EventDefinition(eventType: "shop.sell.end", fields: fields),
                    error: EventDefinition(eventType: "shop.sell.error", priority: .error, fields: fields))
            ])
        let driver = TestDriver()
        let guest = try SignedGuest(driver, catalogues: try Catalogues([catalogue]))
        for (said, isTaken) in [
            (["state": "sold"], true), (["shelf": "8"], false), (["price": "1"], false), (["price": 5], false),
            (["machine": "inst-2"], false), (["price": "5", "shelf": "7", "machine": "inst-1", "state": nil], true),
            (["undeclared": "x"], true),
        ] as [(JSONObject, Bool)] {
            // The price was signed under a name that only the start has.
            for price in ["price", "cost"] {
                let context = NotificationContext(
                    operation: "shop.sell", requestID: "req-1", tenantID: "tenant-1", clientIP: "192.0.2.7",
                    payload: [price: "5", "shelf": "7", "state": "on sale", "machine": "inst-1"])
                driver.reset()
                let answer = await guest.answer(
                    OutcomeReport(context: try guest.signer.sign(context), outcome: .end(payload: said)))
                #expect((answer.failure == nil) == isTaken, "\(said) \(answer)")
                #expect(answer.failure.map { $0.field == "params.context.token" } ?? true || said["machine"] != nil)
                let isNew = said["state"]?.string != nil
                #expect(
                    driver.notifications.map { $0.payload["state"] }
                        == (isTaken ? [isNew ? "sold" : "on sale"] : []))
            }
        }
    }

    /// A guest's own value that the conductor fills in is no reason to reject the report, although the control plane
    /// has not signed it.
    @Test("A report whose own fields the conductor fills in is accepted", arguments: [nil, "inst-1"])
    func filledInFields(instance: String?) async throws {
        let driver = TestDriver()
        let guest = try SignedGuest(driver, catalogues: try Catalogues([Self.shop]))
        let context = NotificationContext(
            operation: "shop.goods.sell", requestID: "req-1", tenantID: "tenant-1", clientIP: "192.0.2.7",
            payload: ["shelf": "7"])
        let report = OutcomeReport(
            context: try guest.signer.sign(context, instanceID: instance),
            outcome: .end(payload: ["instance": 3, "project_id": nil]))
        #expect(await guest.answer(report).failure == nil)
        let payload = try #require(driver.notifications.first?.payload)
        #expect(payload["machine"] == "inst-1" && payload["owner"] == "tenant-1" && payload["shelf"] == "7")
        #expect(payload["instance"] == 3 && payload["project_id"] == .null)
        // True values are accepted, also under the other names.
        for payload in [["machine_id": "inst-1"], ["owner": "tenant-1"], ["shelf_id": "7"]] as [JSONObject] {
            let report = OutcomeReport(context: try guest.signer.sign(context), outcome: .end(payload: payload))
            #expect(await guest.answer(report).failure == nil, "\(payload)")
        }
        for payload in [["machine": "inst-2"], ["machine_id": "inst-2"], ["owner": "tenant-2"]] as [JSONObject] {
            let report = OutcomeReport(context: try guest.signer.sign(context), outcome: .end(payload: payload))
            #expect(await guest.answer(report).failure?.code == .notPermitted, "\(payload)")
        }
    }
}
