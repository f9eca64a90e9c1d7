/// One event: its type, how loud it is, and the fields of its payload.
public struct EventDefinition: Sendable, Hashable {
    /// What stands in `event_type`, such as `dbaas.database_create.end`.
    public let eventType: String
    /// The event type that real Trove uses for it, where that is not the documents': `dbaas.quota`. It can be asked for
    /// under either.
    public let alternateEventType: String?
    /// The priority, which is also the end of the queue's name: `<topic>.info`.
    public let priority: NotificationPriority
    /// The fields of the payload, besides an operation's base fields.
    public let fields: [FieldDefinition]
    /// Whether the event is published unless an operator says otherwise.
    public let isOnByDefault: Bool
    /// What it means.
    public let description: String

    /// - Parameters:
    ///   - eventType: what stands in `event_type`.
    ///   - alternateEventType: another event type that stands for the same.
    ///   - priority: the priority.
    ///   - fields: the fields of the payload, besides an operation's base fields.
    ///   - isOnByDefault: whether the event is published unless an operator says otherwise.
    ///   - description: what it means; empty for an operation's events, whose operation says it.
    public init(
        eventType: String, alternateEventType: String? = nil, priority: NotificationPriority = .info,
        fields: [FieldDefinition], isOnByDefault: Bool = true, description: String = ""
    ) {
        self.eventType = eventType
        self.alternateEventType = alternateEventType
        self.priority = priority
        self.fields = fields
        self.isOnByDefault = isOnByDefault
        self.description = description
    }

    /// Whether a field of this name is declared.
    func declares(_ name: String) -> Bool { self.fields.contains { $0.isNamed(name) } }
}
