/// What is known of a request besides its notification: the keys of oslo.context's `RequestContext.to_dict()`, and the
/// three that `TroveContext` adds (oslo.context 6, Trove 26).
enum RequestContext {
    /// oslo's own keys, in oslo's order.
    static let osloKeys = [
        "user", "project_id", "system_scope", "project", "domain", "user_domain", "project_domain", "is_admin",
        "read_only", "show_deleted", "auth_token", "request_id", "global_request_id", "resource_uuid", "roles",
        "user_identity", "is_admin_project",
    ]
    /// What Trove's contexts have besides, in Trove's order.
    static let troveKeys = ["limit", "marker", "service_catalog"]
    /// The keys whose texts are published as they are. Each element of a list is one text.
    static let publishedIdentifiers = [
        "system_scope", "domain", "user_domain", "project_domain", "is_admin", "global_request_id", "roles",
    ]
    /// What an oslo service decides by whether a request may do something, besides whose it is.
    fileprivate static let rightsKeys = ["system_scope", "domain", "is_admin", "roles"]
    /// Credentials: they are null in every context that this package holds.
    private static let secretKeys = ["auth_token", "service_catalog"]

    /// What is kept of a request's context: the known keys, in oslo's order, without credentials.
    static func kept(of object: JSONObject) -> JSONObject {
        var kept = JSONObject()
        for key in self.osloKeys + self.troveKeys {
            guard let value = object[key] else { continue }
            kept.append(key, !self.secretKeys.contains(key) && self.isPlain(value, key) ? value : .null)
        }
        return kept
    }

    /// Checks what would become of a request's context.
    ///
    /// - Throws: ``FieldError`` for a number that no double holds, and for an `is_admin` that is neither true nor false.
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

    /// `user_identity` of a published context, as oslo.context composes it: user, project and domains, `-` for what is
    /// missing.
    static func userIdentity(_ context: JSONObject) -> JSONValue {
        // As bytes: appending to a string takes several times as long, and each notification has one of these.
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

    /// A scalar or a list of texts; anything else could hide what nobody has looked at. An `is_admin` is a boolean.
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
    /// The context without what would give a consumer's caller rights: it says that nobody is an administrator, has a role,
    /// or acts for the whole system or for a domain.
    ///
    /// For contexts that nobody has vouched for. The rest of a request's context says who asked, and gives no right:
    /// `user_domain`, `project_domain` and `global_request_id` stay, and `is_admin_project` is true in every context that oslo
    /// publishes, where it counts together with a role only.
    package var withoutRights: NotificationContext {
        guard var request = self.keptRequestContext else { return self }
        for name in RequestContext.rightsKeys where request[name] != nil {
            request[name] = name == "is_admin" ? false : .null
        }
        var context = self
        context.keptRequestContext = request
        return context
    }

    /// What is published as `_context_…`: what oslo.messaging's notifier makes of a request's context.
    ///
    /// It publishes `redacted_copy().to_dict()`: identity, scope and roles are copied, while everything else is what a
    /// fresh context has. Who asked, for which project and under which request are this context's own fields, which
    /// were checked, so that one message cannot name two users.
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
