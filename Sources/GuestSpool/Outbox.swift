public import Notifications

/// Where outcomes wait in the guest until a conductor has answered for them.
///
/// The order of calls for one operation: ``begin(_:)``, ``finish(_:)``, any number of ``entries(_:after:limit:)``, then
/// ``remove(_:)`` or ``setAside(_:reason:)``. What the last two are told of outcomes that the outbox no longer has is passed
/// over: after a failure they are told again.
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
    ///   - phase: ends or errors only; nil for all.
    ///   - sequence: only later ones; 0 for all.
    ///   - limit: how many at most.
    func entries(_ phase: OperationPhase?, after sequence: Int64, limit: Int) async throws -> [OutboxEntry]

    /// Forgets outcomes that a conductor has answered for.
    func remove(_ sequences: [Int64]) async throws

    /// Takes an outcome out of the queue that no conductor will ever take, and keeps it with the reason.
    func setAside(_ sequence: Int64, reason: String) async throws

    /// What happened so far.
    func counts() async throws -> OutboxCounts

    /// Looks whether what is kept is in order, and puts it in order: once after the start, beside all other work.
    func verify() async throws

    /// Says which guest the outcomes are of, before any is begun or read, and again before a certificate that names another guest is
    /// used: what waits then is not handed out any more.
    ///
    /// - Parameter names: what the guest's certificate calls it, first the name that it goes by.
    func setGuest(_ names: [String])

    /// Sets what is called when outcomes wait that ``finish(_:)`` had failed to take.
    func whenOutcomesArrive(_ body: @escaping @Sendable () -> Void)
}

extension Outbox {
    /// Nothing can be out of order.
    public func verify() async throws {}

    /// Nothing is recorded: for an outbox whose guest does not change.
    public func setGuest(_ names: [String]) {}

    /// What is not taken never waits.
    public func whenOutcomesArrive(_ body: @escaping @Sendable () -> Void) {}
}

extension Outbox {
    /// Outcomes that wait, ends and errors, oldest first.
    public func entries(after sequence: Int64, limit: Int) async throws -> [OutboxEntry] {
        try await self.entries(nil, after: sequence, limit: limit)
    }
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

/// What an outbox has seen: a ledger, which balances.
public struct OutboxCounts: Sendable, Hashable {
    /// Operations that were begun.
    public var begun = 0
    /// Operations that run.
    public var running = 0
    /// Outcomes that wait for a conductor.
    public var waiting = 0
    /// Outcomes that a conductor answered for.
    public var delivered = 0
    /// Outcomes that no conductor will take, and that are kept with the reason.
    public var setAside = 0
    /// Operations that were not begun, since there was no room for their outcomes.
    public var refused = 0
    /// Outcomes that were set aside, and that an operator has taken out, to a file.
    public var exported = 0

    /// Nothing yet.
    public init() {}

    /// Whether every operation that was begun is accounted for: begun = running + waiting + delivered + set aside +
    /// exported.
    public var isBalanced: Bool {
        self.begun == self.running + self.waiting + self.delivered + self.setAside + self.exported
    }
}
