/// Which outcome each signed operation is bound to, so that it is ended once. It holds no I/O.
///
/// An operation is bound to the first of its outcomes that is on its way to the broker, and stays bound to it unless surely
/// nothing of it got there: a confirm that is lost is no proof that the broker has nothing, and another outcome would be
/// a second one.
package struct BoundOperations: Sendable {
    /// How an outcome stands to its operation.
    package enum Standing: Sendable, Hashable {
        /// No outcome has been on its way to the broker, or surely none got there.
        case isOpen
        /// This very outcome is on its way to the broker.
        case isBeingEndedSo
        /// Another outcome is on its way to the broker.
        case isBeingEndedOtherwise
        /// This very outcome may have reached the broker, which has not confirmed it: it may be sent again.
        case isBoundSo
        /// Another outcome, under another message id, may have reached the broker, which has not confirmed it.
        case isBoundOtherwise
        /// This very outcome has ended it.
        case wasEndedSo
        /// Another outcome under the same message id has ended it, or may have.
        case conflicts
        /// Another outcome has ended it.
        case wasEndedOtherwise
    }

    /// How the publishing of an outcome ended.
    package enum Ending: Sendable, Hashable {
        /// The broker confirmed it.
        case confirmed
        /// The broker did not confirm it, and may have it all the same.
        case unconfirmed
        /// Surely nothing of it reached the broker.
        case unsent
    }

    private struct Outcome {
        var key: OutcomeKey
        var content: UInt64
        var usableUntil: Int64
        var isConfirmed: Bool
    }

    /// Not in the memory yet, or in it as well when it is sent again: there may be no more than requests are in flight.
    private var onTheirWay: [SignedOperationID: Outcome] = [:]
    private var bound: RecentMemory<SignedOperationID, Outcome>

    /// - Parameter limit: how many operations are remembered that were ended, or may have been; the oldest is forgotten
    ///   first.
    package init(limit: Int) { self.bound = RecentMemory(limit: limit) }

    /// How many operations are remembered.
    package var rememberedCount: Int { self.bound.count }

    /// How an outcome stands to its operation. Who sends it does not matter once it has been with the broker, since the
    /// operation says whose it is: a guest may have got a new name meanwhile.
    ///
    /// - Parameters:
    ///   - operation: the operation.
    ///   - key: the outcome's id and sender.
    ///   - content: a digest of what it says.
    package func standing(of operation: SignedOperation, _ key: OutcomeKey, content: UInt64) -> Standing {
        if let first = self.onTheirWay[operation.id] {
            return first.key == key ? .isBeingEndedSo : .isBeingEndedOtherwise
        }
        guard let first = self.bound[operation.id] else { return .isOpen }
        guard first.key.hasSameMessageID(as: key) else {
            return first.isConfirmed ? .wasEndedOtherwise : .isBoundOtherwise
        }
        guard first.content == content else { return .conflicts }
        return first.isConfirmed ? .wasEndedSo : .isBoundSo
    }

    /// An operation that is open, or bound to this outcome, is being ended by it.
    package mutating func begin(_ operation: SignedOperation, _ key: OutcomeKey, content: UInt64) {
        guard self.onTheirWay[operation.id] == nil else { return }
        self.onTheirWay[operation.id] = Outcome(
            key: key, content: content, usableUntil: operation.usableUntil, isConfirmed: false)
    }

    /// The publishing of this outcome ended.
    ///
    /// - Parameter now: the conductor's time, in seconds since 1970.
    /// - Returns: whether an operation was forgotten whose token is still taken: it could be ended once more.
    @discardableResult
    package mutating func ended(
        _ operation: SignedOperation, by key: OutcomeKey, _ ending: Ending, now: Int64
    ) -> Bool {
        guard var outcome = self.onTheirWay[operation.id], outcome.key == key else { return false }
        self.onTheirWay[operation.id] = nil
        // Were it bound before, it stays so: the attempt before this one may have got there.
        if ending == .unsent { return false }
        outcome.isConfirmed = ending == .confirmed
        guard let forgotten = self.bound.remember(outcome, for: operation.id) else { return false }
        return now < forgotten.usableUntil
    }
}
