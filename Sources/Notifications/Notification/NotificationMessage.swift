/// One notification, as it is published: oslo.messaging's message object without what is new for each send.
public struct NotificationMessage: Sendable, Hashable {
    /// Made once, where the outcome arose, and kept for the notification's life: what a consumer tells repeats by.
    public let messageID: MessageID
    /// Who publishes: `<service>.<host>`.
    public let publisherID: String
    /// What happened: `dbaas.database_create.end`.
    public let eventType: String
    /// How loud.
    public let priority: NotificationPriority
    /// The event's fields.
    public let payload: JSONObject
    /// When it happened.
    public let timestamp: NotificationTimestamp
    /// The request's context; each member is published as `_context_<name>`.
    public let context: JSONObject
    /// The guest that reported it; nil for a notification of the control plane. It is not published in the message itself.
    package var sender: NotificationSender?

    /// A notification of these values.
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
