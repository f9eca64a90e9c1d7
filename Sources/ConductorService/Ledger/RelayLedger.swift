package import ConductorRPC

/// Fields that were left out of an outcome.
package struct LeftOutFields: Sendable {
    package var count: Int
    /// A catalogue's service and its operation.
    package var operation: String
}

/// What a relay keeps of what passes through it: the counters, and the outcomes it remembers. It holds no I/O; the relay
/// keeps it behind one lock, so that the counters agree with one another at any moment.
package struct RelayLedger<Waiter> {
    /// What to do with an outcome that arrived.
    package enum Arrival: Sendable, Hashable {
        /// It is new: publish it, and say how that ended.
        case isNew
        /// The same is on its way already: its waiter is kept, and given back when that has ended.
        case joined
        /// The same was confirmed before.
        case wasConfirmed
        /// Another outcome was sent under this id.
        case conflicts
        /// Its signed operation was ended already by another outcome.
        case operationWasEnded
        /// Another outcome of its signed operation is on its way, and may fail.
        case operationIsBeingEnded
        /// Another outcome of its signed operation may have reached the broker, and that one only may be sent again.
        case operationIsBound
        /// What the control plane signed has expired, and this outcome was not published before that.
        case isTooLate
    }

    /// The counters now.
    package private(set) var counters = RelayCounters()
    private var outcomes: ConfirmedOutcomes<Waiter>
    private var operations: BoundOperations

    /// - Parameters:
    ///   - rememberedIDs: how many confirmed outcomes are remembered; with 0 none is ever a duplicate.
    ///   - rememberedOperations: how many signed operations are remembered that were ended, or may have been.
    package init(rememberedIDs: Int, rememberedOperations: Int = 0) {
        self.outcomes = ConfirmedOutcomes(limit: rememberedIDs)
        self.operations = BoundOperations(limit: rememberedOperations)
    }

    /// A `ping` came.
    package mutating func pinged() { self.counters.pinged() }

    /// A request came and is refused at once.
    package mutating func refused(_ code: RPCError.Code) { self.counters.refused(code) }

    /// An outcome came whose event is switched off. It is not remembered: were it switched on, it would be published.
    package mutating func disabled(leftOut: LeftOutFields? = nil) {
        self.count(leftOut)
        self.counters.answered(.disabled)
    }

    /// An outcome came that is to be published.
    ///
    /// - Parameters:
    ///   - key: its id and sender.
    ///   - content: a digest of what it says.
    ///   - operation: the operation that it ends, where the control plane has signed it.
    ///   - isLate: whether the signature has expired, so that it must not be new.
    ///   - leftOut: the fields that are not published.
    ///   - waiter: who is to be answered if it joins another, in ``ended(_:with:mayHaveArrived:operation:)``.
    /// - Returns: what it is. What is answered at once has been counted as what it is answered.
    package mutating func arrived(
        _ key: OutcomeKey, content: UInt64, operation: SignedOperation? = nil, isLate: Bool = false,
        leftOut: LeftOutFields? = nil, waiter: @autoclosure () -> Waiter
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
            // It becomes a duplicate, or not, when what is on its way has ended.
            return standing == .isBeingEndedSo ? .operationIsBeingEnded : .isTooLate
        }
        switch self.outcomes.arrived(key, content: content, waiter: waiter()) {
        case .isNew:
            // Where no outcomes are remembered the same can come twice at once, and would be published twice.
            guard standing != .isBeingEndedSo else { return .operationIsBeingEnded }
            if let operation { self.operations.begin(operation, key, content: content) }
            return .isNew
        case .joined: return .joined
        case .wasConfirmed: return .wasConfirmed
        case .conflicts: return .conflicts
        }
    }

    /// The publishing of a new outcome ended.
    ///
    /// - Parameters:
    ///   - key: its id and sender.
    ///   - failure: what it and those who joined it are refused with; nil when the broker confirmed it.
    ///   - mayHaveArrived: whether the broker may have it in spite of the failure: then its operation stays bound to it.
    ///   - operation: the operation that it ends, where the control plane has signed it.
    ///   - now: the conductor's time, in seconds since 1970.
    /// - Returns: those who joined it, to be answered `duplicate` or the same refusal.
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

    private mutating func count(_ leftOut: LeftOutFields?) {
        if let leftOut { self.counters.leftOut(leftOut.count, of: leftOut.operation) }
    }
}

extension RelayLedger: Sendable where Waiter: Sendable {}
