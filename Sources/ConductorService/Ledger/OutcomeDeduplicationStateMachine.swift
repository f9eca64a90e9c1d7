// SPDX-License-Identifier: Apache-2.0

/// A state machine that decides whether an outcome that arrives is new, a duplicate or a conflict. It records the
/// outcomes in flight to the broker and the last ones that the broker confirmed, and does no I/O.
///
/// A `Waiter` represents a request that repeats an outcome in flight, and that is answered together with it.
package struct OutcomeDeduplicationStateMachine<Waiter> {
    /// The content digest of each outcome in flight.
    private var inFlight: [OutcomeKey: UInt64] = [:]
    private var confirmed: BoundedFIFOCache<OutcomeKey, UInt64>
    /// The waiters of requests that repeat an outcome in flight; almost always empty.
    private var waiters: [OutcomeKey: [Waiter]] = [:]

    /// - Parameter limit: the maximum number of confirmed outcomes that are remembered. The oldest is forgotten first.
    ///   With 0 every outcome is new.
    package init(limit: Int) { self.confirmed = BoundedFIFOCache(limit: limit) }

    /// The number of confirmed outcomes that are remembered.
    package var rememberedCount: Int { self.confirmed.count }

    /// The number of outcomes in flight, without the requests that repeat them.
    package var inFlightCount: Int { self.inFlight.count }

    /// Whether an outcome with this key is in flight or was confirmed, whatever its content.
    package func isKnown(_ key: OutcomeKey) -> Bool { self.inFlight[key] != nil || self.confirmed[key] != nil }

    /// Records that an outcome arrived, and decides what to do with it.
    ///
    /// - Parameters:
    ///   - key: the outcome's message id and sender.
    ///   - content: a digest of the outcome's content.
    ///   - waiter: represents the request; kept only for an outcome in flight, until ``finish(_:isConfirmed:)`` returns
    ///     it.
    /// - Returns: ``OutcomeStatus/new``, ``OutcomeStatus/inFlight``, ``OutcomeStatus/confirmed`` or
    ///   ``OutcomeStatus/conflicting``. A new outcome must be published; ``finish(_:isConfirmed:)`` must follow.
    package mutating func admit(
        _ key: OutcomeKey, content: UInt64, waiter: @autoclosure () -> Waiter
    ) -> OutcomeStatus {
        guard self.confirmed.limit > 0 else { return .new }
        if let other = self.confirmed[key] { return other == content ? .confirmed : .conflicting }
        guard let other = self.inFlight[key] else {
            self.inFlight[key] = content
            return .new
        }
        guard other == content else { return .conflicting }
        self.waiters[key, default: []].append(waiter())
        return .inFlight
    }

    /// Records that the publishing of a new outcome ended, with a confirm or without.
    ///
    /// - Returns: the waiters of the requests that repeated the outcome in the meantime.
    package mutating func finish(_ key: OutcomeKey, isConfirmed: Bool) -> [Waiter] {
        guard let content = self.inFlight.removeValue(forKey: key) else { return [] }
        if isConfirmed { self.confirmed.remember(content, for: key) }
        return self.waiters.isEmpty ? [] : self.waiters.removeValue(forKey: key) ?? []
    }
}

extension OutcomeDeduplicationStateMachine: Sendable where Waiter: Sendable {}
