/// The three events of one operation.
public enum OperationPhase: String, Sendable, Hashable, CaseIterable {
    /// The operation was asked for.
    case start
    /// It succeeded.
    case end
    /// It failed.
    case error
}

/// One operation of a service, and its events.
public struct OperationDefinition: Sendable, Hashable {
    /// The key within the service, such as `database_create`.
    public let key: String
    /// The Python call that begins it; empty where the documents name none.
    public let pythonAPI: String
    /// The REST call that begins it; empty where the documents name none.
    public let restAPI: String
    /// What is worth knowing besides; empty when there is nothing.
    public let note: String
    /// The start event; nil for an operation so short that only its outcome is told.
    public let start: EventDefinition?
    /// The event of success.
    public let end: EventDefinition
    /// The event of failure.
    public let error: EventDefinition
    /// The start field that a request can name several values for, each of which is an operation of its own: one call
    /// of `databases.create` creates three databases, and tells of each.
    public let oneForEach: String?
    /// The class of real Trove's `trove.common.notification` that stands for it; nil where Trove has none.
    public let troveClass: String?

    /// An operation of these events.
    public init(
        key: String, pythonAPI: String = "", restAPI: String = "", note: String = "", start: EventDefinition?,
        end: EventDefinition, error: EventDefinition, oneForEach: String? = nil, troveClass: String? = nil
    ) {
        self.key = key
        self.pythonAPI = pythonAPI
        self.restAPI = restAPI
        self.note = note
        self.start = start
        self.end = end
        self.error = error
        self.oneForEach = oneForEach
        self.troveClass = troveClass
    }

    /// The event of this phase; nil for the start of an operation that has none.
    public func event(_ phase: OperationPhase) -> EventDefinition? {
        switch phase {
        case .start: self.start
        case .end: self.end
        case .error: self.error
        }
    }

    /// Whether one of its events has a field of this name.
    func declares(_ name: String) -> Bool {
        self.start?.declares(name) == true || self.end.declares(name) || self.error.declares(name)
    }

    /// Its events: start, end, error.
    public var events: [EventDefinition] { OperationPhase.allCases.compactMap(self.event) }
}
