// SPDX-License-Identifier: Apache-2.0

import ContextSigning
import Notifications
import RelayTesting

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
        for field in GuestReport.catalogues.catalogues.flatMap({ $0.baseFields + $0.allEvents.flatMap(\.fields) }) {
            names.insert(field.name)
            if let alternate = field.alternateName { names.insert(alternate) }
        }
        return names.sorted()
    }()

    /// Creates a report from the input; nil if it could not be signed.
    init?(_ input: inout FuzzBytes, _ case_: ReportCase) {
        let operation = input.choice(GuestReport.operations)
        guard var parameters = Self.honest(operation, case_) else { return nil }
        var count = 0
        while !input.isEmpty, count < 24 {
            count += 1
            let place = Self.places[input.number(below: Self.places.count)]
            let name = Self.names[(Int(input.byte()) << 8 | Int(input.byte())) % Self.names.count]
            let value = Self.value(&input)
            parameters = parameters.with(value, at: place + [name])
        }
        self.request = GuestReport.request(parameters, case_.phase)
    }

    private static let places = [
        ["payload"], ["context", "payload"], ["context"], ["context", "request_context"], [],
        ["context", "trove_notification"],
    ]

    /// - Returns: the value, or nil to remove the member.
    private static func value(_ input: inout FuzzBytes) -> JSONValue? {
        switch input.number(below: 16) {
        case 0: .string(GuestReport.otherInstance)
        case 1: .string(GuestReport.otherTenant)
        case 2: .string(GuestReport.instance)
        case 3: .string(GuestReport.tenant)
        case 4: .null
        case 5: 5
        case 6: [.string(GuestReport.otherInstance)]
        case 7: ["instance_id": .string(GuestReport.otherInstance), "tenant_id": .string(GuestReport.otherTenant)]
        case 8: .string("user-1 \(GuestReport.otherTenant) -")
        case 9: .string("user-1\u{1C}\(GuestReport.otherTenant)")
        case 10: true
        case 11: nil
        case 12: .string("password=\(PublishedNames.secret)")
        case 13: .string("")
        case 14: .string(String(decoding: input.piece(), as: UTF8.self))
        default: .string("\(GuestReport.instance)\0")
        }
    }

    private static func honest(
        _ operation: (name: String, operation: Catalogues.Operation), _ case_: ReportCase
    ) -> JSONObject? {
        var context = GuestReport.context(operation.name, operation.operation)
        if case_.isSigned {
            let instance = case_.isInstanceSigned ? GuestReport.instance : nil
            guard let signed = try? ReportCase.signer?.sign(context, instanceID: instance) else { return nil }
            context = signed
        }
        return GuestReport.parameters(context, operation.operation, case_.phase)
    }
}
