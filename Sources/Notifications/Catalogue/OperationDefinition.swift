/// The three events of one operation.
public enum OperationPhase: String, Sendable, Hashable, CaseIterable {
    /// The operation was asked for.
    case start
    /// It succeeded.
    case end
    /// It failed.
    case error
}

/// One field of an event's payload.
public struct FieldDefinition: Sendable, Hashable {
    /// What a field may hold.
    public enum Kind: String, Sendable, Hashable {
        /// Text; a number is taken too, as flavor ids come as either.
        case string
        /// A whole number, or its digits as text.
        case integer
        /// A list of text lines, or one text.
        case lines
    }

    /// The name on the wire.
    public let name: String
    /// What it may hold.
    public let kind: Kind
    /// Whether an event without it is refused.
    public let isRequired: Bool
    /// What it means.
    public let description: String

    /// A field that must be there.
    package static func required(_ name: String, _ kind: Kind = .string, _ description: String) -> FieldDefinition {
        FieldDefinition(name: name, kind: kind, isRequired: true, description: description)
    }

    /// A field that may be there.
    package static func optional(_ name: String, _ kind: Kind = .string, _ description: String) -> FieldDefinition {
        FieldDefinition(name: name, kind: kind, isRequired: false, description: description)
    }

    /// Whether the field may hold this value; null stands for "not there".
    func accepts(_ value: JSONValue) -> Bool {
        switch (self.kind, value) {
        case (_, .null): !self.isRequired
        case (.string, .string), (.string, .number): true
        case (.integer, .number): value.integer != nil
        case (.integer, .string(let digits)): Int(digits) != nil
        case (.lines, .string): true
        case (.lines, .array(let lines)): lines.allSatisfy { $0.string != nil }
        default: false
        }
    }

    /// What the field may hold, in an error's words.
    var expectation: String {
        switch self.kind {
        case .string: "a string"
        case .integer: "a whole number"
        case .lines: "a string or a list of strings"
        }
    }
}

/// One operation of a service and the fields of its events.
public struct OperationDefinition: Sendable, Hashable {
    /// The key, such as `database_create`; the events are `<service>.<key>.<phase>`.
    public let key: String
    /// The REST call that begins it.
    public let restAPI: String
    /// The fields of the start event.
    public let start: [FieldDefinition]
    /// The fields of the end event.
    public let end: [FieldDefinition]
    /// The fields of the error event, besides `message` and `exception`, which every error event has.
    public let error: [FieldDefinition]

    /// An operation of these fields.
    package init(
        _ key: String, restAPI: String, start: [FieldDefinition], end: [FieldDefinition] = [],
        error: [FieldDefinition] = []
    ) {
        self.key = key
        self.restAPI = restAPI
        self.start = start
        self.end = end
        self.error = error
    }

    /// The fields of the event of this phase.
    public func fields(of phase: OperationPhase) -> [FieldDefinition] {
        switch phase {
        case .start: self.start
        case .end: self.end
        case .error: self.error
        }
    }
}
