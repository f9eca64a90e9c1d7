// SPDX-License-Identifier: Apache-2.0

/// The phases of an operation, each of which has an event.
package enum OperationPhase: String, Sendable, Hashable, CaseIterable {
    /// The operation was requested.
    case start
    /// The operation succeeded.
    case end
    /// The operation failed.
    case error
}

/// One operation of a service, and its events.
public struct OperationDefinition: Sendable, Hashable {
    /// The key within the service, such as `database_create`.
    package let key: String
    /// The Python call that starts the operation; empty where the documents name none.
    package let pythonAPI: String
    /// The REST call that starts the operation; empty where the documents name none.
    package let restAPI: String
    /// A remark about the operation; empty when there is none.
    package let note: String
    /// The start event; nil for an operation so short that only its outcome is reported.
    package let start: EventDefinition?
    /// The event of success.
    package let end: EventDefinition
    /// The event of failure.
    package let error: EventDefinition
    /// The name of the start field for which a request can give several values, each of which is an operation of its
    /// own; nil when there is none. One call of `databases.create` can create three databases, and each has its own
    /// events.
    package let oneForEach: String?
    /// The class of real Trove's `trove.common.notification` for this operation; nil where Trove has none.
    package let troveClass: String?

    /// Creates an operation with these events.
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

    /// Returns the event of this phase; nil for the start of an operation that has none.
    package func event(_ phase: OperationPhase) -> EventDefinition? {
        switch phase {
        case .start: self.start
        case .end: self.end
        case .error: self.error
        }
    }

    /// Returns whether one of the events has a field of this name.
    func declares(_ name: String) -> Bool {
        self.start?.declares(name) == true || self.end.declares(name) || self.error.declares(name)
    }

    /// The events: start, end, error.
    package var events: [EventDefinition] { OperationPhase.allCases.compactMap(self.event) }
}
