// SPDX-License-Identifier: Apache-2.0

package import ConductorRPC

/// The fields that were left out of an outcome.
package struct UndeclaredFields: Sendable {
    /// The number of fields.
    package var count: Int
    /// The catalogue's service and the operation, `SERVICE.OPERATION`.
    package var operation: String
}

/// The state of a relay: its counters and the outcomes that it remembers. It does no I/O. The relay guards it with one
/// lock, so that the counters are consistent with one another at any moment.
package struct RelayLedgerStateMachine<Waiter> {
    /// The current counters.
    package private(set) var counters = RelayCounters()
    private var outcomes: OutcomeDeduplicationStateMachine<Waiter>
    private var operations: OperationBindingStateMachine

    /// - Parameters:
    ///   - rememberedIDs: the maximum number of confirmed outcomes that are remembered. With 0 an outcome can be a
    ///     duplicate only if its operation is signed.
    ///   - rememberedOperations: the maximum number of signed operations that are remembered because they were ended,
    ///     or may have been.
    package init(rememberedIDs: Int, rememberedOperations: Int = 0) {
        self.outcomes = OutcomeDeduplicationStateMachine(limit: rememberedIDs)
        self.operations = OperationBindingStateMachine(limit: rememberedOperations)
    }

    /// Counts a `ping` request.
    package mutating func countPing() { self.counters.countPing() }

    /// Counts a request that is rejected at once.
    package mutating func countRejection(_ code: RPCError.Code) { self.counters.countRejection(code) }

    /// Counts an outcome whose event is switched off. The outcome is not remembered: sent again after the event is
    /// switched on, it is published.
    package mutating func countDisabled(undeclared: UndeclaredFields? = nil) {
        self.count(undeclared)
        self.counters.countAnswered(.disabled)
    }

    /// Counts an outcome that is to be published, and decides what to do with it.
    ///
    /// - Parameters:
    ///   - key: the outcome's message id and sender.
    ///   - content: a digest of the outcome's content.
    ///   - operation: the operation that the outcome ends, if the control plane has signed it.
    ///   - isExpired: whether the signature has expired, so that the outcome must not be new.
    ///   - undeclared: the fields that are not published.
    ///   - waiter: represents the request if it repeats an outcome in flight; ``finish(_:_:operation:now:)`` returns
    ///     it.
    /// - Returns: what is known about the outcome. If it is ``OutcomeStatus/new`` or ``OutcomeStatus/unconfirmed``, it
    ///   must be published, and ``finish(_:_:operation:now:)`` must follow. If it is ``OutcomeStatus/inFlight``, its
    ///   request is answered later. A request with any other status is to be answered at once, and is already counted
    ///   by its answer.
    package mutating func admit(
        _ key: OutcomeKey, content: UInt64, operation: SignedOperation? = nil, isExpired: Bool = false,
        undeclared: UndeclaredFields? = nil, waiter: @autoclosure () -> Waiter
    ) -> OutcomeStatus {
        self.count(undeclared)
        let status = self.decide(key, content, operation, isExpired, waiter())
        switch status {
        case .new, .unconfirmed, .inFlight: self.counters.countAccepted()
        case .confirmed: self.counters.countAnswered(.duplicate)
        case .conflicting: self.counters.countRejection(.invalidParameters)
        case .otherConfirmed, .otherUnconfirmed, .expired: self.counters.countRejection(.notPermitted)
        case .otherInFlight: self.counters.countRejection(.brokerUnavailable)
        }
        return status
    }

    private mutating func decide(
        _ key: OutcomeKey, _ content: UInt64, _ operation: SignedOperation?, _ isExpired: Bool,
        _ waiter: @autoclosure () -> Waiter
    ) -> OutcomeStatus {
        let bound = operation.map { self.operations.status(of: $0, key, content: content) } ?? .new
        switch bound {
        case .new, .unconfirmed, .inFlight: break
        case .confirmed, .conflicting, .otherInFlight, .otherUnconfirmed, .otherConfirmed, .expired: return bound
        }
        if isExpired, !self.outcomes.isKnown(key) {
            // The outcome in flight decides whether this one is a duplicate, once its publishing has ended.
            return bound == .inFlight ? .otherInFlight : .expired
        }
        let status = self.outcomes.admit(key, content: content, waiter: waiter())
        guard status == .new else { return status }
        // Where no outcomes are remembered, the same outcome can arrive twice at once, and would be published twice.
        guard bound != .inFlight else { return .otherInFlight }
        if let operation { self.operations.beginPublishing(operation, key, content: content) }
        return bound
    }

    /// Records that the publishing of an outcome ended.
    ///
    /// - Parameters:
    ///   - key: the outcome's message id and sender.
    ///   - result: the result. With ``PublishResult/unconfirmed(_:)`` the operation stays bound to the outcome.
    ///   - operation: the operation that the outcome ends, if the control plane has signed it.
    ///   - now: the conductor's time, in seconds since 1970.
    /// - Returns: the waiters of the requests that repeated it, to be answered `duplicate` or with the same error.
    package mutating func finish(
        _ key: OutcomeKey, _ result: PublishResult, operation: SignedOperation? = nil, now: Int64 = 0
    ) -> [Waiter] {
        if let operation, self.operations.finishPublishing(operation, by: key, result, now: now) {
            self.counters.countForgottenOperation()
        }
        let waiters = self.outcomes.finish(key, isConfirmed: result == .confirmed)
        switch result {
        case .confirmed:
            self.counters.countCompleted(.published)
            for _ in waiters { self.counters.countCompleted(.duplicate) }
        case .unconfirmed(let code), .unsent(let code): self.counters.countFailed(1 + waiters.count, code)
        }
        return waiters
    }

    private mutating func count(_ undeclared: UndeclaredFields?) {
        if let undeclared { self.counters.countUndeclared(undeclared.count, of: undeclared.operation) }
    }
}

extension RelayLedgerStateMachine: Sendable where Waiter: Sendable {}
