// SPDX-License-Identifier: Apache-2.0

/// A state machine that binds each signed operation to one outcome, so that an operation is ended only once. It does no
/// I/O.
///
/// An operation is bound to the first of its outcomes that is sent to the broker. It stays bound to that outcome,
/// unless certainly no part of the outcome reached the broker. A lost confirm does not prove that the broker does not
/// have the outcome; another outcome could end the operation a second time.
package struct OperationBindingStateMachine: Sendable {
    private struct Outcome {
        var key: OutcomeKey
        var content: UInt64
        var usableUntil: Int64
        var isConfirmed: Bool
    }

    /// The outcomes in flight, at most as many as there are requests in flight. An outcome that is sent again is also
    /// in `bound`.
    private var inFlight: [SignedOperationID: Outcome] = [:]
    private var bound: BoundedFIFOCache<SignedOperationID, Outcome>

    /// - Parameter limit: the maximum number of remembered operations that were ended, or may have been. The oldest is
    ///   forgotten first.
    package init(limit: Int) { self.bound = BoundedFIFOCache(limit: limit) }

    /// Returns what is known about this outcome of an operation: any ``OutcomeStatus`` except
    /// ``OutcomeStatus/expired``.
    ///
    /// Once the publishing of an outcome has ended, its sender does not matter: the operation says which guest it
    /// belongs to, and that guest may have received a new name since.
    ///
    /// - Parameters:
    ///   - operation: the operation.
    ///   - key: the message id and the sender of the outcome.
    ///   - content: a digest of the outcome's content.
    package func status(of operation: SignedOperation, _ key: OutcomeKey, content: UInt64) -> OutcomeStatus {
        if let first = self.inFlight[operation.id] { return first.key == key ? .inFlight : .otherInFlight }
        guard let first = self.bound[operation.id] else { return .new }
        guard first.key.hasSameMessageID(as: key) else {
            return first.isConfirmed ? .otherConfirmed : .otherUnconfirmed
        }
        guard first.content == content else { return .conflicting }
        return first.isConfirmed ? .confirmed : .unconfirmed
    }

    /// Records that this outcome of an operation is in flight. The operation must be unbound, or bound to this
    /// outcome.
    package mutating func beginPublishing(_ operation: SignedOperation, _ key: OutcomeKey, content: UInt64) {
        guard self.inFlight[operation.id] == nil else { return }
        self.inFlight[operation.id] = Outcome(
            key: key, content: content, usableUntil: operation.usableUntil, isConfirmed: false)
    }

    /// Records the result of publishing this outcome.
    ///
    /// - Parameter now: the conductor's time, in seconds since 1970.
    /// - Returns: whether an operation was forgotten whose token is still accepted, so that it could be ended once
    ///   more.
    @discardableResult
    package mutating func finishPublishing(
        _ operation: SignedOperation, by key: OutcomeKey, _ result: PublishResult, now: Int64
    ) -> Bool {
        guard var outcome = self.inFlight[operation.id], outcome.key == key else { return false }
        self.inFlight[operation.id] = nil
        // An operation that was bound before stays bound: the attempt before this one may have reached the broker.
        if case .unsent = result { return false }
        outcome.isConfirmed = result == .confirmed
        guard let forgotten = self.bound.remember(outcome, for: operation.id) else { return false }
        return now < forgotten.usableUntil
    }
}
