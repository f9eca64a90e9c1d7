// SPDX-License-Identifier: Apache-2.0

import ContextSigning
import Notifications

/// An honest report, and the changes that a compromised guest makes to it.
struct ForgedReport {
    /// The request, as it is written on the line.
    let request: JSONValue

    /// All names in reports, contexts and events, and others.
    private static let names: [String] = {
        var names: Set<String> = [
            "server_ip", "server_type", "publisher_id", "event_type", "operation", "tenant", "project_id", "instance",
            "instance_ids", "message_id", "timestamp", "priority", "_context_tenant", "token", "request_id", "user_id",
            "client_ip", "traceparent", "request_context", "payload", "etype", "value", "trace", "trove_notification",
            "notification_classname", "user", "project", "system_scope", "domain", "user_domain", "project_domain",
            "is_admin", "auth_token", "global_request_id", "resource_uuid", "roles", "user_identity", "limit", "marker",
            "service_catalog", "rootPassword", "Instance_Id", "instance_id ", "instance\u{5F}id\u{301}",
        ]
        for field in ReportCase.catalogues.catalogues.flatMap({ $0.baseFields + $0.allEvents.flatMap(\.fields) }) {
            names.insert(field.name)
            if let alternate = field.alternateName { names.insert(alternate) }
        }
        return names.sorted()
    }()

    private static let operations: [(name: String, definition: OperationDefinition)] =
        ReportCase.catalogues.catalogues.flatMap { catalogue in
            catalogue.operations.map { ("\(catalogue.service).\($0.key)", $0) }
        }

    /// Creates a report from the input; nil if it could not be signed.
    init?(_ input: inout FuzzBytes, _ case_: ReportCase) {
        let operation = input.choice(Self.operations)
        guard var parameters = Self.honest(operation, case_) else { return nil }
        var count = 0
        while !input.isEmpty, count < 24 {
            count += 1
            let place = Self.places[input.number(below: Self.places.count)]
            let name = Self.names[(Int(input.byte()) << 8 | Int(input.byte())) % Self.names.count]
            let value = Self.value(&input)
            parameters = parameters.with(value, at: place + [name])
        }
        self.request = [
            "jsonrpc": "2.0", "id": 1, "method": case_.isError ? "notify_exc_info" : "notify_end",
            "params": .object(parameters),
        ]
    }

    private static let places = [
        ["payload"], ["context", "payload"], ["context"], ["context", "request_context"], [],
        ["context", "trove_notification"],
    ]

    /// - Returns: the value, or nil to remove the member.
    private static func value(_ input: inout FuzzBytes) -> JSONValue? {
        switch input.number(below: 16) {
        case 0: .string(ReportCase.otherInstance)
        case 1: .string(ReportCase.otherTenant)
        case 2: .string(ReportCase.instance)
        case 3: .string(ReportCase.tenant)
        case 4: .null
        case 5: 5
        case 6: [.string(ReportCase.otherInstance)]
        case 7: ["instance_id": .string(ReportCase.otherInstance), "tenant_id": .string(ReportCase.otherTenant)]
        case 8: .string("user-1 \(ReportCase.otherTenant) -")
        case 9: .string("user-1\u{1C}\(ReportCase.otherTenant)")
        case 10: true
        case 11: nil
        case 12: .string("password=\(PublishedNames.secret)")
        case 13: .string("")
        case 14: .string(String(decoding: input.piece(), as: UTF8.self))
        default: .string("\(ReportCase.instance)\0")
        }
    }

    private static func honest(
        _ operation: (name: String, definition: OperationDefinition), _ case_: ReportCase
    ) -> JSONObject? {
        var context = NotificationContext(
            operation: operation.name, requestID: "req-1", tenantID: ReportCase.tenant, userID: "user-1",
            clientIP: "198.51.100.7", serverIP: "203.0.113.1", serverType: "api",
            payload: self.values(operation.definition.start), requestContext: ["is_admin": false, "roles": ["member"]])
        if case_.isSigned {
            let instance = case_.isInstanceSigned ? ReportCase.instance : nil
            guard let signed = try? ReportCase.signer?.sign(context, instanceID: instance) else { return nil }
            context = signed
        }
        var parameters: JSONObject = ["context": .object(context.json)]
        if case_.isError {
            parameters["etype"] = "ValueError"
            parameters["value"] = "no such table"
            parameters["trace"] = ["line 7"]
        }
        var payload = JSONObject()
        for member in self.values(operation.definition.end).members
        where !case_.isError && !(case_.isSigned && context.payload[member.name] == nil) {
            payload[member.name] = member.value
        }
        parameters["payload"] = .object(payload)
        return parameters
    }

    private static func values(_ event: EventDefinition?) -> JSONObject {
        JSONObject(
            (event?.fields ?? []).map { field in
                switch (field.role, field.kind) {
                case (.instance?, _): (field.name, .string(ReportCase.instance))
                case (.tenant?, _): (field.name, .string(ReportCase.tenant))
                case (nil, .integer), (nil, .number): (field.name, 5)
                case (nil, .boolean): (field.name, true)
                case (nil, .timestamp): (field.name, "2015-06-28T05:54:52Z")
                case (nil, .texts): (field.name, ["some"])
                case (nil, .text), (nil, .any): (field.name, "some")
                }
            })
    }
}

extension JSONObject {
    /// Returns the object with another value at a path of members; members on the path that are no objects are
    /// replaced.
    fileprivate func with(_ value: JSONValue?, at path: [String]) -> JSONObject {
        guard let first = path.first else { return self }
        var object = self
        let rest = Array(path.dropFirst())
        object[first] = rest.isEmpty ? value : .object((self[first]?.object ?? [:]).with(value, at: rest))
        return object
    }
}
