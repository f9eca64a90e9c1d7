/// How much of a quota is used: Trove's `dbaas.quotas` (ceilometer-integration specification, 1.2.1.6).
public struct QuotaUsage: Sendable, Hashable {
    /// The two spellings of the event's type.
    public enum EventType: String, Sendable, Hashable, CaseIterable {
        /// The specification's.
        case quotas = "dbaas.quotas"
        /// Real Trove's.
        case quota = "dbaas.quota"
    }

    /// The resource: `instances`, `volumes` or `backups`.
    public var resource: String
    /// How many are in use.
    public var inUse: Int
    /// How many are reserved.
    public var reserved: Int
    /// How many are allowed; -1 for any number.
    public var limit: Int
    /// When the resource was last allocated; nil if it never was.
    public var updated: NotificationTimestamp?
    /// The tenant that the quota is for. Not the specification's: with nil the field is left out.
    public var tenantID: String?

    /// A quota's usage of these values.
    public init(
        resource: String, inUse: Int, reserved: Int, limit: Int, updated: NotificationTimestamp?,
        tenantID: String? = nil
    ) {
        self.resource = resource
        self.inUse = inUse
        self.reserved = reserved
        self.limit = limit
        self.updated = updated
        self.tenantID = tenantID
    }

    /// The payload; `updated` as Trove's serializer writes what it reads out of its database.
    public var payload: JSONObject {
        var payload: JSONObject = [
            "resource": .string(self.resource),
            "in_use": .number(JSONNumber(self.inUse)),
            "reserved": .number(JSONNumber(self.reserved)),
            "limit": .number(JSONNumber(self.limit)),
            "updated": self.updated.map { .string($0.text(.microseconds)) } ?? .null,
        ]
        payload["tenant_id"] = self.tenantID.map { .string($0) }
        return payload
    }

    /// The notification.
    ///
    /// - Parameters:
    ///   - eventType: the spelling.
    ///   - publisherID: who publishes, such as `taskmanager.control-1`.
    ///   - messageID: the notification's identifier.
    ///   - timestamp: when the usage was so.
    ///   - context: what is published as `_context_…`.
    /// - Throws: ``FieldError`` naming a field that the event may not have so.
    public func notification(
        as eventType: EventType = .quotas, publisherID: String, messageID: MessageID = MessageID(),
        timestamp: NotificationTimestamp = .now(), context: JSONObject = JSONObject()
    ) throws(FieldError) -> NotificationMessage {
        guard let definition = Catalogues.builtIn.event(eventType.rawValue) else {
            throw FieldError(field: "event_type", problem: "\(eventType.rawValue) is in no catalogue")
        }
        return try definition.notification(
            values: self.payload, publisherID: publisherID, messageID: messageID, timestamp: timestamp,
            context: context
        ).message
    }
}
