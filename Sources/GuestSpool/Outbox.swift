public import Notifications

/// Where outcomes wait in the guest until a conductor has answered for them.
///
/// The order of calls for one operation: ``begin(_:)``, ``finish(_:)``, any number of ``entries(after:limit:)``, then
/// ``remove(_:)`` or ``setAside(_:reason:)``.
public protocol Outbox: Sendable {
    /// Notes that an operation begins, and reserves the room that its outcome will need.
    ///
    /// - Throws: ``OutboxError`` when there is no room: the operation was not begun.
    func begin(_ operation: BegunOperation) async throws

    /// Takes the outcome of an operation that was begun under the report's message id. When this returns, the outcome
    /// is as safe as this outbox can make it.
    func finish(_ report: OutcomeReport) async throws

    /// Outcomes that wait, oldest first.
    ///
    /// - Parameters:
    ///   - sequence: only later ones; 0 for all.
    ///   - limit: how many at most.
    func entries(after sequence: Int64, limit: Int) async throws -> [OutboxEntry]

    /// Forgets outcomes that a conductor has answered for.
    func remove(_ sequences: [Int64]) async throws

    /// Takes an outcome out of the queue that no conductor will ever take, and keeps it with the reason.
    func setAside(_ sequence: Int64, reason: String) async throws

    /// What happened so far: begun = running + waiting + delivered + set aside.
    func counts() async throws -> OutboxCounts
}

/// An operation that runs.
public struct BegunOperation: Sendable, Hashable {
    /// The identifier that its outcome will have, whatever it is.
    public let messageID: MessageID
    /// The context it runs under.
    public let context: NotificationContext

    /// An operation under this context.
    public init(messageID: MessageID, context: NotificationContext) {
        self.messageID = messageID
        self.context = context
    }
}

/// An outcome that waits.
public struct OutboxEntry: Sendable, Hashable {
    /// Its place in the outbox: grows, and is never used twice.
    public let sequence: Int64
    /// The outcome.
    public let report: OutcomeReport

    /// An entry at this place.
    public init(sequence: Int64, report: OutcomeReport) {
        self.sequence = sequence
        self.report = report
    }
}

/// What an outbox has seen.
public struct OutboxCounts: Sendable, Hashable {
    /// Operations that were begun.
    public var begun = 0
    /// Operations that run.
    public var running = 0
    /// Outcomes that wait for a conductor.
    public var waiting = 0
    /// Outcomes that a conductor answered for.
    public var delivered = 0
    /// Outcomes that no conductor will take.
    public var setAside = 0

    /// Nothing yet.
    public init() {}
}

/// Why an outbox does not take an operation or an outcome.
public struct OutboxError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What kind of failure.
    public struct Code: Sendable, Hashable {
        private let value: String

        /// There is no room for another outcome.
        public static let full = Code(value: "full")
        /// The outcome is of an operation that was not begun, or was finished before.
        public static let notBegun = Code(value: "not begun")
    }

    /// What kind of failure.
    public let code: Code
    /// What happened and what to do, in a sentence.
    public let description: String

    /// An error of this kind.
    public init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }
}
