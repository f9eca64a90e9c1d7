// SPDX-License-Identifier: Apache-2.0

package import Notifications

/// A queue in the guest that stores outcomes until a conductor has answered for them.
///
/// The order of calls for one operation: ``begin(_:)``, ``finish(_:)``, any number of ``entries(_:after:limit:)``, then
/// ``remove(_:)`` or ``setAside(_:reason:)``. The last two ignore outcomes that the outbox no longer has, because a
/// caller repeats them after a failure.
package protocol Outbox: Sendable {
    /// Records that an operation begins, and reserves the space that its outcome will need.
    ///
    /// - Throws: ``OutboxError`` when there is no space: the operation was not begun.
    func begin(_ operation: BegunOperation) async throws

    /// Stores the outcome of an operation that was begun under the report's message id. When this method returns, the
    /// outcome is as safe as this outbox can make it.
    func finish(_ report: OutcomeReport) async throws

    /// Returns waiting outcomes, oldest first.
    ///
    /// - Parameters:
    ///   - phase: ends or errors only; nil for all.
    ///   - sequence: only outcomes with a later sequence; 0 for all.
    ///   - limit: the maximum number of outcomes.
    func entries(_ phase: OperationPhase?, after sequence: Int64, limit: Int) async throws -> [OutboxEntry]

    /// Removes outcomes that a conductor has answered for.
    func remove(_ sequences: [Int64]) async throws

    /// Moves an outcome that no conductor will ever accept out of the queue, and stores it with the reason.
    func setAside(_ sequence: Int64, reason: String) async throws

    /// Returns the number of operations and outcomes in each state.
    func counts() async throws -> OutboxCounts

    /// Checks what the outbox stores, and repairs it if it is damaged. It is called once after the start, while all
    /// other work continues.
    func verify() async throws

    /// Sets the guest that the outcomes belong to. It is called before any operation is begun or any outcome is read,
    /// and again before a certificate that names another guest is used: the outbox no longer returns the outcomes that
    /// wait at that moment.
    ///
    /// - Parameter names: the guest's names in its certificate; the first one is the guest's primary name.
    func setGuest(_ names: [String])

    /// Sets the closure that is called when outcomes wait that ``finish(_:)`` had failed to store.
    func whenOutcomesArrive(_ body: @escaping @Sendable () -> Void)
}

extension Outbox {
    /// Does nothing: for an outbox that cannot be damaged.
    package func verify() async throws {}

    /// Does nothing: for an outbox whose guest does not change.
    package func setGuest(_ names: [String]) {}

    /// Does nothing: for an outbox in which an outcome never waits after ``finish(_:)`` has failed.
    package func whenOutcomesArrive(_ body: @escaping @Sendable () -> Void) {}
}

extension Outbox {
    /// Returns waiting outcomes, ends and errors, oldest first.
    package func entries(after sequence: Int64, limit: Int) async throws -> [OutboxEntry] {
        try await self.entries(nil, after: sequence, limit: limit)
    }
}

/// An operation that has begun.
package struct BegunOperation: Sendable, Hashable {
    /// The message id that its outcome will have, whether it is an end or an error.
    package let messageID: MessageID
    /// The notification context of the operation.
    package let context: NotificationContext

    /// Creates an operation with this context.
    package init(messageID: MessageID, context: NotificationContext) {
        self.messageID = messageID
        self.context = context
    }
}

/// A waiting outcome.
package struct OutboxEntry: Sendable, Hashable {
    /// The position of the outcome in the outbox. Sequences grow, and none is used twice.
    package let sequence: Int64
    /// The outcome.
    package let report: OutcomeReport

    /// Creates an entry with this sequence.
    package init(sequence: Int64, report: OutcomeReport) {
        self.sequence = sequence
        self.report = report
    }
}

/// The outbox's ledger: the number of operations and outcomes in each state.
public struct OutboxCounts: Sendable, Hashable {
    /// Operations that were begun.
    public var begun = 0
    /// Operations that are running.
    public var running = 0
    /// Outcomes that wait for a conductor.
    public var waiting = 0
    /// Outcomes that a conductor answered for.
    public var delivered = 0
    /// Outcomes that are stored with a reason and are not sent: no conductor accepts them, or the outbox itself has set
    /// them aside.
    public var setAside = 0
    /// Operations that were not begun, because there was no space for their outcomes.
    public var refused = 0
    /// Outcomes that were set aside, and that an operator has exported to a file and removed.
    public var exported = 0

    /// Creates counts of zero.
    package init() {}

    /// Whether every operation that was begun is accounted for: begun = running + waiting + delivered + set aside +
    /// exported.
    public var isBalanced: Bool {
        self.begun == self.running + self.waiting + self.delivered + self.setAside + self.exported
    }
}
