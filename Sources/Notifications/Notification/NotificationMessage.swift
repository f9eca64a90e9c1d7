// SPDX-License-Identifier: Apache-2.0

/// One notification as it is published: oslo.messaging's message object without the members that are new for each send.
public struct NotificationMessage: Sendable, Hashable {
    /// The notification's identifier. It is made once, where the outcome occurs, and never changes, so that consumers
    /// can recognize duplicates.
    public let messageID: MessageID
    /// The publisher: `<service>.<host>`.
    public let publisherID: String
    /// The type of the event, such as `dbaas.database_create.end`.
    public let eventType: String
    /// The priority.
    public let priority: NotificationPriority
    /// The event's fields.
    public let payload: JSONObject
    /// The time of the event.
    public let timestamp: NotificationTimestamp
    /// The request's context; each member is published as `_context_<name>`.
    public let context: JSONObject
    /// The guest that reported the event; nil for a notification of the control plane. The message's body does not
    /// contain it.
    package var sender: NotificationSender?

    /// Creates a notification with these values.
    public init(
        messageID: MessageID, publisherID: String, eventType: String, priority: NotificationPriority,
        payload: JSONObject, timestamp: NotificationTimestamp, context: JSONObject = JSONObject()
    ) {
        self.messageID = messageID
        self.publisherID = publisherID
        self.eventType = eventType
        self.priority = priority
        self.payload = payload
        self.timestamp = timestamp
        self.context = context
    }
}
