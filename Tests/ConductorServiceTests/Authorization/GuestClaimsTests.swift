// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import ConductorService
import Notifications
import RelayTesting
import TLSChannel
import Testing

/// Claims in every field of a report, for every event that a guest can cause: a forbidden claim reaches no driver.
@Suite(.timeLimit(.minutes(5))) struct GuestClaimsTests {
    /// Payload fields that name no instance, tenant or publisher, and so are for the guest to set. A field that is new
    /// in a catalogue is listed here or has a role: the test fails until a developer has decided.
    private static let free: Set = [
        "user_id", "client_ip", "request_id", "message", "exception", "cluster_id", "backup_id", "configuration_id",
        "dbname", "username", "database", "host", "shelf",
    ]
    /// The same for a request's context.
    private static let freeContext: Set = [
        "_context_user", "_context_request_id", "_context_global_request_id", "_context_system_scope",
        "_context_domain",
        "_context_user_domain", "_context_project_domain", "_context_roles", "_context_is_admin",
        "_context_user_identity",
    ]
    /// Fields that name a tenant: where the certificate names none, they have the one that the context names, whichever
    /// that is.
    private static let tenants: Set = ["tenant_id", "owner", "_context_project_id", "_context_project"]

    /// Names that could have a meaning elsewhere, but are not fields of any event.
    private static let furtherNames = [
        "publisher_id", "event_type", "message_id", "timestamp", "priority", "_unique_id", "_context_project_id",
        "_context_tenant", "_context_instance_id", "project_id", "tenant", "instance", "instance_ids",
        "nova_instance_id",
        "server_id", "slave_of_id", "master", "resource_id", "Instance_id", "instance_id ", "trove_notification",
        "payload", "oslo.message",
    ]
    private static let requestContext = [
        "user", "project_id", "system_scope", "project", "domain", "user_domain", "project_domain", "is_admin",
        "read_only", "show_deleted", "auth_token", "request_id", "global_request_id", "resource_uuid", "roles",
        "user_identity", "is_admin_project", "limit", "marker", "service_catalog", "tenant", "instance_id",
    ]

    /// Returns the fields that the operation's events declare, and names that no event or only another operation's
    /// event declares.
    private static func names(_ operation: Catalogues.Operation) -> (declared: [String], others: [String]) {
        let fields = operation.catalogue.baseFields + operation.definition.events.flatMap(\.fields)
        let declared = Set(fields.flatMap { [$0.name, $0.alternateName].compactMap(\.self) })
        let others =
            Catalogue.defaultBaseFields.map(\.name) + ["instance_id", "vm", "vm_id", "owner"] + Self.furtherNames
        return (declared.sorted(), others.filter { !declared.contains($0) })
    }

    /// Checks the message that the driver received, byte by byte.
    private func check(
        _ message: NotificationMessage, _ operation: Catalogues.Operation, _ phase: OperationPhase, namesTenant: Bool,
        _ comment: Comment
    ) throws {
        let bytes = Envelope.messaging.encode(message)
        let object = try #require(try JSONValue(json: bytes).object)
        let payload = try #require(object["payload"]?.object)
        func naming(_ members: [JSONObject.Member]) -> Set<String> {
            Set(
                members.filter { member in
                    String(decoding: JSONWriter.encode([member.name: member.value]), as: UTF8.self)
                        .contains(GuestReport.other)
                }.map(\.name))
        }
        let tenants = namesTenant ? [] : Self.tenants
        #expect(naming(payload.members).subtracting(Self.free).subtracting(tenants) == [], comment)
        let rest = object.members.filter { $0.name != "payload" }
        #expect(naming(rest).subtracting(Self.freeContext).subtracting(tenants) == [], comment)

        #expect(object["publisher_id"]?.string == ReportingGuest.publisherID, comment)
        #expect(object["event_type"]?.string == operation.definition.event(phase)?.eventType, comment)
        for (name, own) in [("server_type", "conductor"), ("server_ip", ReportingGuest.address)]
        where payload[name] != nil {
            #expect(payload[name] == .string(own), comment)
        }
        for field in operation.ownFields where field.isPublished(in: phase) && field.role == .instance {
            #expect(payload[field.name] == .string(GuestReport.instance), comment)
        }
        // All fields that name the tenant have the same value.
        for field in operation.ownFields where field.isPublished(in: phase) && field.role == .tenant {
            #expect(payload[field.name] == object["_context_project_id"], comment)
        }
        guard namesTenant else { return }
        for name in ["_context_project_id", "_context_project"] {
            #expect(object[name] == .string(GuestReport.tenant), comment)
        }
        // A reader that splits the identity finds the tenant in the second position.
        let identity = (object["_context_user_identity"]?.string ?? "").split(whereSeparator: \.isWhitespace)
        #expect(identity.dropFirst().first.map { String($0) } == GuestReport.tenant, comment)
    }

    @Test("No event names another instance, or another tenant than the certificate's", arguments: [true, false])
    func claimsInEvents(namesTenant: Bool) async throws {
        let guest = ReportingGuest(namesTenant: namesTenant)
        let operations = GuestReport.operations
        #expect(operations.count == 38 + 1)
        let other = JSONValue.string(GuestReport.other)
        for (name, operation) in operations {
            // Lets other tests run.
            await Task.yield()
            for phase in [OperationPhase.end, .error] {
                let honest = GuestReport.honest(name, operation, phase)
                guard case .published(let message) = try guest.report(honest) else {
                    Issue.record("\(name) \(phase) was rejected")
                    continue
                }
                try self.check(message, operation, phase, namesTenant: namesTenant, "\(name) \(phase)")

                let names = Self.names(operation)
                let declared = names.declared.flatMap {
                    [["payload", $0], ["context", "payload", $0], ["context", $0]]
                }
                var places = [["etype"], ["value"], ["trace"], ["message_id"], ["timestamp"], ["publisher_id"]]
                places += declared
                places += names.others.flatMap { [["payload", $0], ["context", "payload", $0], ["context", $0]] }
                places += Self.requestContext.map { ["context", "request_context", $0] }
                for place in places {
                    let value = place.last == "user_id" ? .string("user-1 \(GuestReport.other)") : other
                    let values = namesTenant && declared.contains(place) ? [value, [value], ["id": value]] : [value]
                    // An etype alone makes the report an error.
                    let told = place == ["etype"] ? .error : phase
                    for value in values {
                        let answer = try guest.report(honest.with(value, at: place))
                        let comment: Comment = "\(name) \(phase): \(place.joined(separator: ".")) is \(value)"
                        if case .published(let message) = answer {
                            try self.check(message, operation, told, namesTenant: namesTenant, comment)
                        }
                        guard value == other else { continue }
                        try self.expectRejection(answer, place, operation, namesTenant: namesTenant, comment)
                    }
                }
            }
        }
    }

    /// Expects that a field that names another instance or tenant is rejected with the field's name, rather than left
    /// out.
    private func expectRejection(
        _ answer: ReportingGuest.Answer, _ place: [String], _ operation: Catalogues.Operation, namesTenant: Bool,
        _ comment: Comment
    ) throws {
        let isOwn = operation.ownFields.contains { field in
            field.name == place.last || field.otherNames.contains(place.last ?? "")
        }
        let isClaim =
            place == ["context", "tenant_id"] && namesTenant || isOwn && place.dropLast().last == "payload"
        guard isClaim else { return }
        guard case .rejected(let error) = answer else {
            Issue.record("it was published: \(comment)")
            return
        }
        #expect(error.code == .notPermitted, comment)
        #expect(error.field == "params.\(place.joined(separator: "."))", comment)
        #expect(!error.description.contains(GuestReport.other), comment)
    }

    @Test(
        "In Trove's form too, no event names another instance or tenant than the certificate's",
        arguments: [true, false])
    func claimsInTroveForm(namesTenant: Bool) throws {
        let guest = ReportingGuest(namesTenant: namesTenant)
        var reported = 0
        for (name, operation) in GuestReport.operations {
            guard let className = operation.definition.troveClass else { continue }
            let honest = GuestReport.honestOfTrove(className, operation)
            guard case .published = try guest.report(honest) else {
                Issue.record("\(name) was rejected")
                continue
            }
            reported += 1
            let names = Self.names(operation).declared + Self.furtherNames
            var places = names.map { ["context", "trove_notification", $0] }
            places += (Self.requestContext + names).map { ["context", $0] }
            for place in places {
                let answer = try guest.report(honest.with(.string(GuestReport.other), at: place))
                if case .published(let message) = answer {
                    try self.check(
                        message, operation, .end, namesTenant: namesTenant, "\(name): \(place.joined(separator: "."))")
                }
            }
        }
        #expect(reported == 38)
    }

    /// No event's type is an operation's name: a guest reports no start, and no event that is independent of
    /// operations.
    @Test("A report that names an event type as its operation is rejected")
    func eventTypeAsOperation() throws {
        let guest = ReportingGuest()
        for event in GuestReport.catalogues.catalogues.flatMap(\.allEvents) {
            for name in [event.eventType, event.alternateEventType].compactMap(\.self) {
                let operation = try #require(GuestReport.catalogues.operation("database_create"))
                guard case .rejected(let error) = try guest.report(GuestReport.honest(name, operation, .end)) else {
                    Issue.record("\(name) was published")
                    continue
                }
                #expect(error.code == .unknownEvent)
            }
        }
    }

    /// Values that resemble the instance's name, but differ from it byte by byte.
    private static let nearly: [JSONValue] = [
        "INST-1", "inst-1 ", " inst-1", "inst-1\u{0}", "inst-1\n", "inst-11", "inst-", "", "inst\u{2D}\u{200B}1",
        "inst‐1", ["inst-1"], ["inst-1", "b7d3-other"], ["id": "b7d3-other"], true, 1,
    ]

    @Test("A value that only resembles the instance's name is rejected", arguments: Self.nearly)
    func similarInstanceNames(value: JSONValue) throws {
        let guest = ReportingGuest()
        for (name, field) in [("database_create", "instance_id"), ("shop.sell", "vm"), ("shop.sell", "vm_id")] {
            let operation = try #require(GuestReport.catalogues.operation(name))
            for phase in [OperationPhase.end, .error] {
                for place in [["payload", field], ["context", "payload", field]] {
                    let report = GuestReport.honest(name, operation, phase).with(value, at: place)
                    guard case .rejected(let error) = try guest.report(report) else {
                        Issue.record("\(name) \(phase) \(place) was published")
                        continue
                    }
                    #expect([.notPermitted, .invalidParameters].contains(error.code))
                    #expect(error.field == "params.\(place.joined(separator: "."))")
                }
            }
        }
    }

    @Test("The conductor fills in the instance and tenant fields that a report leaves out", arguments: [true, false])
    func omittedOwnFields(namesTenant: Bool) throws {
        let guest = ReportingGuest(namesTenant: namesTenant)
        for (name, operation) in GuestReport.operations {
            for phase in [OperationPhase.end, .error] {
                for value in [JSONValue?.none, .some(.null)] {
                    var report = GuestReport.honest(name, operation, phase)
                    for field in operation.ownFields {
                        for path in [["payload"], ["context", "payload"]] {
                            report = report.with(value, at: path + [field.name])
                        }
                    }
                    guard case .published(let message) = try guest.report(report) else {
                        Issue.record("\(name) \(phase) was rejected")
                        continue
                    }
                    for field in operation.ownFields {
                        let own = field.role == .instance ? GuestReport.instance : GuestReport.tenant
                        let told: JSONValue? = field.isPublished(in: phase) ? .some(.string(own)) : .none
                        #expect(message.payload[field.name] == told, "\(name) \(phase) \(field.name)")
                    }
                }
            }
        }
        // Each of Trove's error events publishes it, as does each event that has an instance_id in Trove's documents.
        for operation in Catalogue.dbaas.operations {
            let field = try #require(GuestReport.catalogues.operation(operation.key)?.ownFields.first)
            #expect(field.name == "instance_id" && field.role == .instance && field.isPublished(in: .error))
        }
    }

    /// A number has other spellings, and readers that take it for another number: a name is published as the
    /// certificate has it.
    @Test("An instance's name that is sent as a number is published as text", arguments: ["42", "1e2", "7.50"])
    func numericInstanceName(instance: String) throws {
        let guest = ReportingGuest(instance: instance)
        let number = try JSONValue(json: Array(instance.utf8))
        for (name, said, told) in [
            ("database_create", "instance_id", ["instance_id"]), ("shop.sell", "vm", ["vm"]),
            ("shop.sell", "vm_id", ["vm", "vm_id"]),
        ] {
            let operation = try #require(GuestReport.catalogues.operation(name))
            for phase in [OperationPhase.end, .error] {
                var report = GuestReport.honest(name, operation, phase)
                for field in ["instance_id", "vm", "vm_id"] {
                    report = report.with(nil, at: ["payload", field]).with(nil, at: ["context", "payload", field])
                }
                for places in [[["payload"]], [["context", "payload"]], [["payload"], ["context", "payload"]]] {
                    for value in [number, .string(instance)] {
                        let claim = places.reduce(report) { $0.with(value, at: $1 + [said]) }
                        guard case .published(let message) = try guest.report(claim) else {
                            Issue.record("\(name) \(phase) \(places) was rejected")
                            continue
                        }
                        for field in told { #expect(message.payload[field] == .string(instance)) }
                    }
                }
            }
        }
    }

    /// White space in the user would move the tenant's position in `_context_user_identity`.
    @Test(
        "A user with white space is rejected",
        arguments: [" ", "\t", "\n", "\u{A0}", "\u{2003}", "\u{1C}", "\u{1F}", "\u{85}", "\u{2028}", "\u{3000}"])
    func userWithWhiteSpace(space: String) throws {
        let guest = ReportingGuest()
        let operation = try #require(GuestReport.catalogues.operation("database_create"))
        let report = GuestReport.honest("database_create", operation, .end)
        for user in ["user-1\(space)tenant-2", space, "\(space)a", "a\(space)"] {
            guard case .rejected(let error) = try guest.report(report.with(.string(user), at: ["context", "user_id"]))
            else {
                Issue.record("it was published")
                continue
            }
            #expect(error.code == .notPermitted && error.field == "params.context.user_id")
        }
    }

    /// Text that looks like a secret, begins in the user and ends in a domain would include the tenant.
    @Test(
        "Redaction does not replace the tenant in the user identity",
        arguments: ["password='", "token:", "password=", "https://a:b"])
    func redactedUserIdentity(user: String) throws {
        let guest = ReportingGuest()
        let operation = try #require(GuestReport.catalogues.operation("database_create"))
        for domain in ["' tenant-2", "x@ tenant-2"] {
            let report = GuestReport.honest("database_create", operation, .end)
                .with(.string(user), at: ["context", "user_id"])
                .with(.string(domain), at: ["context", "request_context", "domain"])
            guard case .published(let message) = try guest.report(report) else {
                Issue.record("it was rejected")
                continue
            }
            let identity = try #require(message.context["user_identity"]?.string).split(separator: " ")
            #expect(identity.count > 1 && identity[1] == GuestReport.tenant, "\(identity)")
        }
    }

    /// The ids of the control plane's own events are predictable.
    @Test("A guest cannot use a message id of the control plane's own events")
    func controlPlaneMessageID() throws {
        let guest = ReportingGuest()
        let operation = try #require(GuestReport.catalogues.operation("database_create"))
        let id = MessageID(naming: ["trove.instance.exists", GuestReport.instance])
        let report = GuestReport.honest("database_create", operation, .end)
        guard case .rejected(let error) = try guest.report(report.with(.string("\(id)"), at: ["message_id"])) else {
            Issue.record("it was published")
            return
        }
        #expect(error.code == .invalidParameters && error.field == "params.message_id")
    }

    /// The catalogue, rather than a field's name, says which fields have a role: all of them are texts.
    @Test("Fields with a role are texts")
    func fieldsWithRole() {
        for catalogue in GuestReport.catalogues.catalogues {
            for field in catalogue.baseFields + catalogue.allEvents.flatMap(\.fields) where field.role != nil {
                #expect(field.kind == .text)
            }
        }
    }
}
