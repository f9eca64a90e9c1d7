// SPDX-License-Identifier: Apache-2.0

/// Contexts as real Trove makes them: `TroveContext.to_dict()`, with the notification in `trove_notification`.
extension NotificationContext {
    /// The module of real Trove's notification classes. The name is compared only, and never used for an import.
    private static let troveModule = "trove.common.notification."
    /// The member that holds the notification: its payload, and the name of its class.
    static let troveMember = "trove_notification"
    private static let className = "notification_classname"

    private static let operationsByTroveClass: [ByteString: String] = Dictionary(
        uniqueKeysWithValues: Catalogue.dbaas.operations.compactMap { operation in
            operation.troveClass.map { (ByteString(Self.troveModule + $0), operation.key) }
        })
    private static let longestTroveClass = operationsByTroveClass.keys.map(\.byteCount).max() ?? 0

    /// Returns whether this is a context of oslo's that requests no notification, as a Trove without notifications
    /// sends it.
    static func isWithoutNotification(_ object: JSONObject) -> Bool {
        let fields = JSONFields(object)
        return object["operation"] == nil && fields.value(Self.troveMember) == nil
            && ["auth_token", "request_id", "user_identity"].allSatisfy { object[$0] != nil }
    }

    /// Reads a Trove context. Its `auth_token`, its service catalogue and everything else beyond the keys of
    /// ``requestContext`` are dropped here, except for the control plane's signature, which is in `token`.
    ///
    /// - Throws: ``FieldError`` naming the first field that is missing or of the wrong type, or the class name when it
    ///   is not one of the notifications that the catalogue knows.
    init(trove fields: JSONFields, notification: JSONFields) throws(FieldError) {
        let className = try notification.string(Self.className)
        guard className.utf8.count <= Self.longestTroveClass,
            let operation = Self.operationsByTroveClass[ByteString(className)]
        else {
            throw notification.error(
                Self.className, "is not a known class of Trove's notifications; Docs/events.md lists the known ones")
        }
        try RequestContext.check(fields.object, path: fields.path)
        var payload = JSONObject()
        payload.reserveCapacity(notification.object.members.count)
        let ownNames = [Self.className, "request_id", "tenant_id", "user_id", "client_ip", "server_ip", "server_type"]
        for member in notification.object.members where !ownNames.contains(where: member.name.hasSameBytes) {
            payload.append(member.name, Self.named(member.value))
        }
        func string(_ name: String, else other: String) throws(FieldError) -> String {
            if let string = try notification.optionalString(name), !string.isEmpty { return string }
            return try fields.string(other)
        }
        self.init(
            operation: operation, requestID: try string("request_id", else: "request_id"),
            tenantID: try string("tenant_id", else: "project_id"),
            userID: try fields.optionalString("user"),
            clientIP: try notification.nullableString("client_ip"),
            serverIP: try notification.optionalString("server_ip"),
            serverType: try notification.optionalString("server_type"),
            payload: payload, token: try fields.optionalString("token"), requestContext: fields.object)
    }

    /// Returns the name of a user or database where Trove sends the whole state of its guest model, including the
    /// password: the second start of `user_delete` does so. Any other value is unchanged.
    private static func named(_ value: JSONValue) -> JSONValue {
        switch value {
        case .object(let model):
            guard case .string(let name)? = model["_name"] else { return value }
            return .string(name)
        case .array(let models): return .array(models.map { self.named($0) })
        default: return value
        }
    }
}
