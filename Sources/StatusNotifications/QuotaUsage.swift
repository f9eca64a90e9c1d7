// SPDX-License-Identifier: Apache-2.0

public import Notifications

/// The usage of a quota: Trove's `dbaas.quotas` (ceilometer-integration specification, 1.2.1.6).
public struct QuotaUsage: Sendable, Hashable {
    /// The two spellings of the event's type.
    public enum EventType: String, Sendable, Hashable, CaseIterable {
        /// The specification's spelling.
        case quotas = "dbaas.quotas"
        /// Real Trove's spelling.
        case quota = "dbaas.quota"
    }

    /// The resource: `instances`, `volumes` or `backups`.
    public var resource: String
    /// The number in use.
    public var inUse: Int
    /// The number reserved.
    public var reserved: Int
    /// The number allowed; -1 means no limit.
    public var limit: Int
    /// The time at which the resource was last allocated; nil if it never was.
    public var updated: NotificationTimestamp?
    /// The tenant that the quota is for. The specification does not have this field; with nil it is left out.
    public var tenantID: String?

    /// Creates the usage of a quota with these values.
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

    /// The payload. `updated` has the form in which Trove's serializer writes the times from its database.
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

    /// Returns the notification of this usage.
    ///
    /// - Parameters:
    ///   - eventType: the spelling of the event's type.
    ///   - publisherID: the publisher, such as `taskmanager.control-1`.
    ///   - messageID: the notification's identifier.
    ///   - timestamp: the time of these values.
    ///   - context: the members published as `_context_…`.
    /// - Throws: `FieldError` naming the fields whose values the event does not allow.
    public func notification(
        as eventType: EventType = .quotas, publisherID: String, messageID: MessageID = MessageID(),
        timestamp: NotificationTimestamp = .now(), context: JSONObject = JSONObject()
    ) throws(FieldError) -> NotificationMessage {
        guard let definition = Catalogues.builtIn.event(eventType.rawValue) else {
            throw FieldError(field: "event_type", problem: "\(eventType.rawValue) is not in any catalogue")
        }
        return try definition.notification(
            values: self.payload, publisherID: publisherID, messageID: messageID, timestamp: timestamp,
            context: context
        ).message
    }
}
