// SPDX-License-Identifier: Apache-2.0

/// One event: its type, its priority, and the fields of its payload.
public struct EventDefinition: Sendable, Hashable {
    /// The value of `event_type`, such as `dbaas.database_create.end`.
    package let eventType: String
    /// The event type that real Trove uses, where it differs from the documents' type, such as `dbaas.quota`. The event
    /// can be looked up by either type.
    package let alternateEventType: String?
    /// The priority, which is also the end of the queue's name: `<topic>.info`.
    package let priority: NotificationPriority
    /// The fields of the payload, apart from an operation's base fields.
    package let fields: [FieldDefinition]
    /// Whether the event is published by default; an operator can switch events on and off.
    package let isOnByDefault: Bool
    /// The meaning of the event; empty for an operation's events.
    package let description: String

    /// Creates an event.
    ///
    /// - Parameters:
    ///   - eventType: the value of `event_type`.
    ///   - alternateEventType: another event type with the same meaning.
    ///   - priority: the priority.
    ///   - fields: the fields of the payload, apart from an operation's base fields.
    ///   - isOnByDefault: whether the event is published by default; an operator can switch events on and off.
    ///   - description: the meaning of the event; empty for an operation's events, since the operation describes them.
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

    /// Returns whether a field of this name is declared.
    package func declares(_ name: String) -> Bool { self.fields.contains { $0.isNamed(name) } }
}
