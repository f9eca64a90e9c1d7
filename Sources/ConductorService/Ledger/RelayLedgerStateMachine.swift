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
    /// The decision about an outcome that arrived.
    package enum Arrival: Sendable, Hashable {
        /// The outcome is new: publish it, then call
        /// ``RelayLedgerStateMachine/ended(_:with:mayHaveArrived:operation:now:)``.
        case isNew
        /// The same outcome is already in flight. Its waiter is kept until the end of that outcome's publishing.
        case joined
        /// The same outcome was confirmed before.
        case wasConfirmed
        /// Another outcome was sent with this message id.
        case conflicts
        /// Another outcome has already ended its signed operation.
        case operationWasEnded
        /// Another outcome of its signed operation is in flight, and may fail. Where no outcomes are remembered, it may
        /// be the same outcome that is in flight.
        case operationIsBeingEnded
        /// Another outcome of its signed operation may have reached the broker. Only that one may be sent again.
        case operationIsBound
        /// The signature has expired, and this outcome was not published before that.
        case isTooLate
    }

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
    package mutating func pinged() { self.counters.pinged() }

    /// Counts a request that is rejected at once.
    package mutating func refused(_ code: RPCError.Code) { self.counters.refused(code) }

    /// Counts an outcome whose event is switched off. The outcome is not remembered: sent again after the event is
    /// switched on, it is published.
    package mutating func disabled(leftOut: UndeclaredFields? = nil) {
        self.count(leftOut)
        self.counters.answered(.disabled)
    }

    /// Counts an outcome that is to be published, and decides what to do with it.
    ///
    /// - Parameters:
    ///   - key: the outcome's message id and sender.
    ///   - content: a digest of the outcome's content.
    ///   - operation: the operation that the outcome ends, if the control plane has signed it.
    ///   - isLate: whether the signature has expired, so that the outcome must not be new.
    ///   - leftOut: the fields that are not published.
    ///   - waiter: represents the request if it repeats an outcome in flight;
    ///     ``ended(_:with:mayHaveArrived:operation:now:)`` returns it.
    /// - Returns: the decision. A request that is answered at once is already counted by its answer.
    package mutating func arrived(
        _ key: OutcomeKey, content: UInt64, operation: SignedOperation? = nil, isLate: Bool = false,
        leftOut: UndeclaredFields? = nil, waiter: @autoclosure () -> Waiter
    ) -> Arrival {
        self.count(leftOut)
        let arrival = self.arrival(key, content, operation, isLate, waiter())
        switch arrival {
        case .isNew, .joined: self.counters.took()
        case .wasConfirmed: self.counters.answered(.duplicate)
        case .conflicts: self.counters.refused(.invalidParameters)
        case .operationWasEnded, .operationIsBound, .isTooLate: self.counters.refused(.notPermitted)
        case .operationIsBeingEnded: self.counters.refused(.brokerUnavailable)
        }
        return arrival
    }

    private mutating func arrival(
        _ key: OutcomeKey, _ content: UInt64, _ operation: SignedOperation?, _ isLate: Bool,
        _ waiter: @autoclosure () -> Waiter
    ) -> Arrival {
        let standing = operation.map { self.operations.standing(of: $0, key, content: content) } ?? .isOpen
        switch standing {
        case .isOpen, .isBoundSo, .isBeingEndedSo: break
        case .isBeingEndedOtherwise: return .operationIsBeingEnded
        case .wasEndedSo: return .wasConfirmed
        case .conflicts: return .conflicts
        case .wasEndedOtherwise: return .operationWasEnded
        case .isBoundOtherwise: return .operationIsBound
        }
        if isLate, !self.outcomes.isKnown(key) {
            // The outcome in flight decides whether this one is a duplicate, once its publishing has ended.
            return standing == .isBeingEndedSo ? .operationIsBeingEnded : .isTooLate
        }
        switch self.outcomes.arrived(key, content: content, waiter: waiter()) {
        case .isNew:
            // Where no outcomes are remembered, the same outcome can arrive twice at once, and would be published
            // twice.
            guard standing != .isBeingEndedSo else { return .operationIsBeingEnded }
            if let operation { self.operations.begin(operation, key, content: content) }
            return .isNew
        case .joined: return .joined
        case .wasConfirmed: return .wasConfirmed
        case .conflicts: return .conflicts
        }
    }

    /// Records that the publishing of a new outcome ended.
    ///
    /// - Parameters:
    ///   - key: the outcome's message id and sender.
    ///   - failure: the error code of the answer to the request, and to those that repeated it; nil if the broker
    ///     confirmed the outcome.
    ///   - mayHaveArrived: whether the broker may have the outcome in spite of the failure. If so, the operation stays
    ///     bound to it.
    ///   - operation: the operation that the outcome ends, if the control plane has signed it.
    ///   - now: the conductor's time, in seconds since 1970.
    /// - Returns: the waiters of the requests that repeated it, to be answered `duplicate` or with the same error.
    package mutating func ended(
        _ key: OutcomeKey, with failure: RPCError.Code?, mayHaveArrived: Bool = true,
        operation: SignedOperation? = nil, now: Int64 = 0
    ) -> [Waiter] {
        if let operation,
            self.operations.ended(
                operation, by: key, failure == nil ? .confirmed : mayHaveArrived ? .unconfirmed : .unsent, now: now)
        {
            self.counters.forgotSignedOperation()
        }
        let waiters = self.outcomes.ended(key, isConfirmed: failure == nil)
        if let failure {
            self.counters.failed(1 + waiters.count, failure)
        } else {
            self.counters.settled(.published)
            for _ in waiters { self.counters.settled(.duplicate) }
        }
        return waiters
    }

    private mutating func count(_ leftOut: UndeclaredFields?) {
        if let leftOut { self.counters.leftOut(leftOut.count, of: leftOut.operation) }
    }
}

extension RelayLedgerStateMachine: Sendable where Waiter: Sendable {}
