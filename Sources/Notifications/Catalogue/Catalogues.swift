// SPDX-License-Identifier: Apache-2.0

/// The catalogues in which a conductor or a notifier looks up operations and events by name.
public struct Catalogues: Sendable {
    /// An operation and its catalogue.
    package struct Operation: Sendable {
        /// The catalogue.
        package let catalogue: Catalogue
        /// The operation.
        package let definition: OperationDefinition
        /// The phases whose events are published; the others have no event, or it is switched off.
        let published: Set<OperationPhase>
        /// The names by which a context may refer to the operation: first with its service in front, and for Trove's
        /// also the key alone.
        package let names: [String]
        /// The operation's name with its service in front, the same for both spellings.
        package var canonicalName: String { self.names[0] }
        /// The fields that hold a name of the reporting guest.
        package let ownFields: [GuestIdentityField]
        /// The start fields that identify the operation's subject; its end and error events may contain them too.
        let identifiers: [FieldDefinition]

        /// Returns whether the event of this phase is published: it exists and is not switched off.
        package func isPublished(_ phase: OperationPhase) -> Bool { self.published.contains(phase) }
    }

    /// An event, its catalogue and its operation.
    package struct Event: Sendable {
        /// The catalogue.
        package let catalogue: Catalogue
        /// The event.
        package let definition: EventDefinition
        /// The operation and phase; nil for an event without an operation.
        package let operation: (definition: OperationDefinition, phase: OperationPhase)?
        /// The event type by which the event was looked up: the documents' or the alternate one. The event is published
        /// under this type.
        package let eventType: String
        /// Whether the event is published; an operator can switch events on and off.
        package let isPublished: Bool
    }

    /// The catalogues, the built-in ones first.
    package let catalogues: [Catalogue]
    private let operations: [ByteString: Operation]
    private let events: [ByteString: Event]
    private let longestName: Int

    /// Trove's events, for which this product is made.
    public static let builtIn: Catalogues = {
        // Fails only if the tables of this package contradict each other, which a test would show.
        // swift-format-ignore: NeverUseForceTry
        try! Catalogues([.dbaas, .trove])
    }()

    /// Creates the catalogues of a conductor or a notifier.
    ///
    /// - Parameters:
    ///   - catalogues: the catalogues; no event type may be in two of them.
    ///   - switchedOn: event types, or their beginnings with a `*` at the end, to publish although they are off by
    ///     default.
    ///   - switchedOff: event types not to publish, in the same form; an event in both lists is not published.
    /// - Throws: ``CatalogueError`` when two catalogues have a service, an operation or an event in common, when a
    ///   pattern matches no event, or when an event of an operation declares a base field as its own.
    public init(
        _ catalogues: [Catalogue], switchedOn: [String] = [], switchedOff: [String] = []
    ) throws(CatalogueError) {
        self.catalogues = catalogues
        for pattern in switchedOn + switchedOff
        where !catalogues.contains(where: { $0.allEvents.contains { Self.fits($0, pattern) } }) {
            throw CatalogueError("\(pattern) matches no event; `conductor events` lists the events")
        }
        func isPublished(_ event: EventDefinition) -> Bool {
            if switchedOff.contains(where: { Self.fits(event, $0) }) { return false }
            return event.isOnByDefault || switchedOn.contains { Self.fits(event, $0) }
        }
        var operations: [ByteString: Operation] = [:]
        var events: [ByteString: Event] = [:]
        var services: Set<String> = []
        func add(_ event: Event) throws(CatalogueError) {
            for eventType in [event.definition.eventType, event.definition.alternateEventType].compactMap(\.self) {
                let named = Event(
                    catalogue: event.catalogue, definition: event.definition, operation: event.operation,
                    eventType: eventType, isPublished: event.isPublished)
                guard events.updateValue(named, forKey: ByteString(eventType)) == nil else {
                    throw CatalogueError("the event \(eventType) is defined twice")
                }
            }
        }
        for catalogue in catalogues {
            guard services.insert(catalogue.service).inserted else {
                throw CatalogueError("the service \(catalogue.service) has two catalogues")
            }
            for operation in catalogue.operations {
                let published = OperationPhase.allCases.filter { operation.event($0).map(isPublished) ?? false }
                try Self.checkFields(of: operation, in: catalogue)
                let entry = Operation(
                    catalogue: catalogue, definition: operation, published: Set(published),
                    names: catalogue.names(of: operation),
                    ownFields: GuestIdentityField.all(of: operation, identifiers: catalogue.identifiers),
                    identifiers: catalogue.identifiers(of: operation))
                for name in entry.names where operations.updateValue(entry, forKey: ByteString(name)) != nil {
                    throw CatalogueError("the operation \(name) is defined twice")
                }
                for phase in OperationPhase.allCases {
                    guard let event = operation.event(phase) else { continue }
                    try add(
                        Event(
                            catalogue: catalogue, definition: event, operation: (operation, phase),
                            eventType: event.eventType, isPublished: isPublished(event)))
                }
            }
            for event in catalogue.events {
                try add(
                    Event(
                        catalogue: catalogue, definition: event, operation: nil, eventType: event.eventType,
                        isPublished: isPublished(event)))
            }
        }
        self.operations = operations
        self.events = events
        self.longestName = (Array(operations.keys) + Array(events.keys)).map(\.byteCount).max() ?? 0
    }

    /// Checks that no event of an operation declares a base field. Base fields come from the context and the publisher;
    /// if an event declared such a field, a guest could set its value.
    private static func checkFields(
        of operation: OperationDefinition, in catalogue: Catalogue
    ) throws(CatalogueError) {
        for field in operation.events.flatMap(\.fields) {
            guard let base = Catalogue.defaultBaseFields.first(where: { field.isNamed($0.name) }) else { continue }
            throw CatalogueError(
                "the operation \(catalogue.service).\(operation.key) declares the base field \(base.name) as its own; "
                    + "remove it from the operation's fields")
        }
    }

    /// Returns the operation with this name: `database_create` or `dbaas.database_create`; the name of another
    /// service's operation has the service in front.
    package func operation(_ name: String) -> Operation? {
        guard name.utf8.count <= self.longestName else { return nil }
        return self.operations[ByteString(name)]
    }

    /// Returns the event of this type.
    package func event(_ eventType: String) -> Event? {
        guard eventType.utf8.count <= self.longestName else { return nil }
        return self.events[ByteString(eventType)]
    }

    private static func fits(_ event: EventDefinition, _ pattern: String) -> Bool {
        guard pattern.hasSuffix("*") else { return event.eventType == pattern || event.alternateEventType == pattern }
        return event.eventType.hasPrefix(pattern.dropLast())
    }
}

/// An error for catalogues that contradict each other, or for a pattern that matches no event.
public struct CatalogueError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The problem, as a clause.
    public let description: String

    /// Creates an error.
    ///
    /// - Parameter description: the problem, as a clause.
    package init(_ description: String) { self.description = description }
}
