/// The catalogues that a conductor or a notifier works with: where operations and events are looked up by name.
public struct Catalogues: Sendable {
    /// One operation, and the catalogue it is from.
    public struct Operation: Sendable {
        /// The catalogue.
        public let catalogue: Catalogue
        /// The operation.
        public let definition: OperationDefinition
        /// Which of its events are published; the others an operator has switched off.
        let published: Set<OperationPhase>
        /// What a context may call it: with its service in front; and by its key alone, if it is Trove's.
        package let names: [String]
        /// The fields that hold a name of the guest that reports the operation.
        package let ownFields: [OwnField]
        /// The fields of its start that say what it is about: its outcome may tell them too.
        let identifiers: [FieldDefinition]

        /// Whether the event of this phase is published: the operation has it, and no operator switched it off.
        public func isPublished(_ phase: OperationPhase) -> Bool { self.published.contains(phase) }
    }

    /// One event, and where it is from.
    public struct Event: Sendable {
        /// The catalogue.
        public let catalogue: Catalogue
        /// The event.
        public let definition: EventDefinition
        /// The operation and phase, unless the event stands alone.
        public let operation: (definition: OperationDefinition, phase: OperationPhase)?
        /// The event type it was asked for by: the documents' or the alternate one. It is published under this.
        public let eventType: String
        /// Whether it is published; an operator can switch events on and off.
        public let isPublished: Bool
    }

    /// The catalogues, the built-in ones first.
    public let catalogues: [Catalogue]
    private let operations: [ByteString: Operation]
    private let events: [ByteString: Event]
    private let longestName: Int

    /// Trove's events: what this product is made for.
    public static let builtIn: Catalogues = {
        // Fails only if the tables of this package contradict one another, which a test would show.
        // swift-format-ignore: NeverUseForceTry
        try! Catalogues([.dbaas, .trove])
    }()

    /// - Parameters:
    ///   - catalogues: the catalogues; no event type may be in two of them.
    ///   - switchedOn: event types, or their beginnings with a `*` at the end, to publish although they are off by
    ///     default.
    ///   - switchedOff: the same, not to publish; of an event in both lists nothing is published.
    /// - Throws: ``CatalogueError`` when two catalogues have one service, operation or event in common, or a pattern
    ///   fits no event; or when an operation's event has a base field for its own.
    public init(
        _ catalogues: [Catalogue], switchedOn: [String] = [], switchedOff: [String] = []
    ) throws(CatalogueError) {
        self.catalogues = catalogues
        for pattern in switchedOn + switchedOff
        where !catalogues.contains(where: { $0.allEvents.contains { Self.fits($0, pattern) } }) {
            throw CatalogueError("no event is named by \(pattern): `conductor events` lists the events")
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
                    ownFields: OwnField.all(of: operation, identifiers: catalogue.identifiers),
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

    /// The base fields are the context's and the publisher's: an event that had one of them for its own would let a guest say
    /// it.
    private static func checkFields(
        of operation: OperationDefinition, in catalogue: Catalogue
    ) throws(CatalogueError) {
        for field in operation.events.flatMap(\.fields) {
            guard let base = Catalogue.defaultBaseFields.first(where: { field.isNamed($0.name) }) else { continue }
            throw CatalogueError(
                "the operation \(catalogue.service).\(operation.key) has \(base.name) for a field of its own; operations "
                    + "have it by their base fields only")
        }
    }

    /// The operation of this name: `database_create` or `dbaas.database_create`, another service's with its service in
    /// front.
    public func operation(_ name: String) -> Operation? {
        guard name.utf8.count <= self.longestName else { return nil }
        return self.operations[ByteString(name)]
    }

    /// The event of this type.
    public func event(_ eventType: String) -> Event? {
        guard eventType.utf8.count <= self.longestName else { return nil }
        return self.events[ByteString(eventType)]
    }

    private static func fits(_ event: EventDefinition, _ pattern: String) -> Bool {
        guard pattern.hasSuffix("*") else { return event.eventType == pattern || event.alternateEventType == pattern }
        return event.eventType.hasPrefix(pattern.dropLast())
    }
}

/// Catalogues that contradict one another, or a pattern that fits no event.
public struct CatalogueError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What is wrong, as a clause.
    public let description: String

    /// - Parameter description: what is wrong, as a clause.
    public init(_ description: String) { self.description = description }
}
