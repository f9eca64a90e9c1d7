// SPDX-License-Identifier: Apache-2.0

/// The context of a request apart from its notification: the keys of oslo.context's `RequestContext.to_dict()`, and the
/// three that `TroveContext` adds (oslo.context 6, Trove 26).
enum RequestContext {
    /// oslo's own keys, in oslo's order.
    static let osloKeys = [
        "user", "project_id", "system_scope", "project", "domain", "user_domain", "project_domain", "is_admin",
        "read_only", "show_deleted", "auth_token", "request_id", "global_request_id", "resource_uuid", "roles",
        "user_identity", "is_admin_project",
    ]
    /// The additional keys of Trove's contexts, in Trove's order.
    static let troveKeys = ["limit", "marker", "service_catalog"]
    /// The keys whose texts are published as they are. Each element of a list is one text.
    static let publishedIdentifiers = [
        "system_scope", "domain", "user_domain", "project_domain", "is_admin", "global_request_id", "roles",
    ]
    /// The keys by which an oslo service decides what a request may do, apart from its user and project.
    fileprivate static let rightsKeys = ["system_scope", "domain", "is_admin", "roles"]
    /// The keys of credentials. They are null in every context that this package holds.
    private static let secretKeys = ["auth_token", "service_catalog"]

    /// Returns the known keys of a request's context, in oslo's order. Credentials and values that are not plain become
    /// null.
    static func kept(of object: JSONObject) -> JSONObject {
        var kept = JSONObject()
        for key in self.osloKeys + self.troveKeys {
            guard let value = object[key] else { continue }
            kept.append(key, !self.secretKeys.contains(key) && self.isPlain(value, key) ? value : .null)
        }
        return kept
    }

    /// Checks the numbers and the `is_admin` of a request's context.
    ///
    /// - Throws: ``FieldError`` for a number beyond the range of a double, and for an `is_admin` that is neither true
    ///   nor false.
    static func check(_ object: JSONObject, path: String) throws(FieldError) {
        let members = object.members.span
        for index in members.indices {
            guard case .number(let number) = members[index].value, !number.isFinite else { continue }
            let name = members[index].name
            guard (self.osloKeys + self.troveKeys).contains(where: name.hasSameBytes) else { continue }
            throw FieldError(field: FieldError.join(path, name), problem: JSONNumber.problem)
        }
        switch object["is_admin"] {
        case nil, .bool?, .null?: break
        case let value?:
            throw FieldError(
                field: FieldError.join(path, "is_admin"), problem: "must be true or false, not \(value.kind)")
        }
    }

    /// Returns the `user_identity` of a published context, as oslo.context composes it: user, project and domains, with
    /// `-` for each missing one.
    static func userIdentity(_ context: JSONObject) -> JSONValue {
        // Composed as bytes: appending to a string takes several times as long, and every notification has an identity.
        var identity: [UInt8] = []
        identity.reserveCapacity(128)
        for key in self.identityKeys {
            if !identity.isEmpty { identity.append(UInt8(ascii: " ")) }
            if case .string(let part)? = context[key], !part.isEmpty {
                identity.append(contentsOf: part.utf8)
            } else {
                identity.append(UInt8(ascii: "-"))
            }
        }
        return .string(String(decoding: identity, as: UTF8.self))
    }

    private static let identityKeys = ["user", "project_id", "domain", "user_domain", "project_domain"]

    /// Returns whether the value is a scalar or a list of texts, and for `is_admin` a boolean or null. Any other value
    /// could hide data that no check has seen.
    private static func isPlain(_ value: JSONValue, _ key: String) -> Bool {
        switch value {
        case .null, .bool: true
        case .number(let number): number.isFinite && key != "is_admin"
        case .string: key != "is_admin"
        case .array(let elements): key != "is_admin" && elements.allSatisfy { $0.string != nil }
        case .object: false
        }
    }
}

extension NotificationContext {
    /// The context without rights in a consumer: its `is_admin` is false, and its `roles`, `system_scope` and `domain`
    /// are null, where these are present.
    ///
    /// It is for contexts that no verified signature covers. The other members of a request's context name the
    /// requester and give no rights: `user_domain`, `project_domain` and `global_request_id` stay. `is_admin_project`
    /// is true in every context that oslo publishes, and it has an effect only together with a role.
    package var withoutRights: NotificationContext {
        guard var request = self.keptRequestContext else { return self }
        for name in RequestContext.rightsKeys where request[name] != nil {
            request[name] = name == "is_admin" ? false : .null
        }
        var context = self
        context.keptRequestContext = request
        return context
    }

    /// The members published as `_context_…`, as oslo.messaging's notifier makes them from a request's context.
    ///
    /// That notifier publishes `redacted_copy().to_dict()`: it copies identity, scope and roles, and everything else
    /// has the value of a new context. User, project and request id come from this context's own fields, which were
    /// checked, so that one message cannot name two users.
    package var publishedContext: JSONObject {
        let request = self.requestContext ?? JSONObject()
        func copied(_ key: String) -> JSONValue { request[key] ?? .null }

        let user = self.userID.map { JSONValue.string($0) } ?? .null
        let project = JSONValue.string(self.tenantID)
        var object = JSONObject()
        object.reserveCapacity(RequestContext.osloKeys.count + RequestContext.troveKeys.count)
        object.append("user", user)
        object.append("project_id", project)
        object.append("system_scope", copied("system_scope"))
        object.append("project", project)
        object.append("domain", copied("domain"))
        object.append("user_domain", copied("user_domain"))
        object.append("project_domain", copied("project_domain"))
        object.append("is_admin", request["is_admin"].map { $0.isNull ? false : $0 } ?? false)
        object.append("read_only", false)
        object.append("show_deleted", false)
        object.append("auth_token", .null)
        object.append("request_id", .string(self.requestID))
        object.append("global_request_id", copied("global_request_id"))
        object.append("resource_uuid", .null)
        object.append("roles", request["roles"].map { $0.isNull ? [] : $0 } ?? [])
        object.append("user_identity", RequestContext.userIdentity(object))
        object.append("is_admin_project", true)
        if RequestContext.troveKeys.contains(where: { request[$0] != nil }) {
            for key in RequestContext.troveKeys { object.append(key, .null) }
        }
        return object
    }
}
