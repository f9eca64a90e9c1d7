// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
package import Notifications

/// A guest's reports of every operation, for tests that put other names into their fields.
package enum GuestReport {
    /// The guest's own names.
    package static let (instance, tenant) = ("inst-1", "tenant-1")
    /// Names of other parties; no report has them unless a test puts them there.
    package static let (otherInstance, otherTenant) = ("b7d3-other-instance", "b7d3-other-tenant")
    /// The common prefix of the other parties' names.
    package static let other = "b7d3-other"

    /// Trove's catalogue, and that of another service, whose fields have other names.
    package static let catalogues: Catalogues = {
        let vm = FieldDefinition.required("vm", "Machine", alternate: "vm_id", role: .instance)
        let shop = Catalogue(
            service: "shop", description: "", baseFields: [], identifiers: ["vm", "shelf"],
            operations: [
                OperationDefinition(
                    key: "sell",
                    start: EventDefinition(
                        eventType: "shop.sell.start",
                        fields: [vm, .optional("shelf", "Shelf"), .optional("till", "Till")]),
                    end: EventDefinition(
                        eventType: "shop.sell.end", fields: [.optional("owner", "Project", role: .tenant)]),
                    error: EventDefinition(
                        eventType: "shop.sell.error", priority: .error,
                        fields: [.required("message", ""), .required("exception", "", .texts)]))
            ])
        do {
            return try Catalogues(Catalogues.builtIn.catalogues + [shop])
        } catch {
            fatalError("the catalogues for tests are invalid: \(error)")
        }
    }()

    /// Every operation that can be reported, by the name that contexts give it.
    package static let operations: [(name: String, operation: Catalogues.Operation)] =
        catalogues.catalogues.flatMap { catalogue in
            catalogue.operations.compactMap { operation in
                let name = "\(catalogue.service).\(operation.key)"
                return catalogues.operation(name).map { (name, $0) }
            }
        }

    /// Returns the context of an operation, with all fields of its start.
    package static func context(_ name: String, _ operation: Catalogues.Operation) -> NotificationContext {
        NotificationContext(
            operation: name, requestID: "req-1", tenantID: self.tenant, userID: "user-1", clientIP: "198.51.100.7",
            serverIP: "203.0.113.1", serverType: "api", payload: self.values(operation.definition.start),
            requestContext: ["is_admin": false, "roles": ["member"]])
    }

    /// Returns the parameters of an honest report: it has all fields of its event, and none of them names another
    /// party. If the context is signed, the report has only fields that the context has.
    package static func parameters(
        _ context: NotificationContext, _ operation: Catalogues.Operation, _ phase: OperationPhase
    ) -> JSONObject {
        var parameters: JSONObject = ["context": .object(context.json)]
        if phase == .error {
            parameters["etype"] = "ValueError"
            parameters["value"] = "no such table"
            parameters["trace"] = ["line 7"]
        }
        var payload = JSONObject()
        for member in self.values(operation.definition.end).members
        where phase == .end && (context.token == nil || context.payload[member.name] != nil) {
            payload[member.name] = member.value
        }
        parameters["payload"] = .object(payload)
        return parameters
    }

    /// Returns the request that reports with these parameters.
    package static func request(_ parameters: JSONObject, _ phase: OperationPhase) -> JSONValue {
        [
            "jsonrpc": "2.0", "id": 1, "method": phase == .error ? "notify_exc_info" : "notify_end",
            "params": .object(parameters),
        ]
    }

    /// Returns a value for each field of an event.
    package static func values(_ event: EventDefinition?) -> JSONObject {
        JSONObject(
            (event?.fields ?? []).map { field in
                switch (field.role, field.kind) {
                case (.instance?, _): (field.name, .string(self.instance))
                case (.tenant?, _): (field.name, .string(self.tenant))
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
    package func with(_ value: JSONValue?, at path: [String]) -> JSONObject {
        guard let first = path.first else { return self }
        var object = self
        let rest = Array(path.dropFirst())
        object[first] = rest.isEmpty ? value : .object((self[first]?.object ?? [:]).with(value, at: rest))
        return object
    }
}
