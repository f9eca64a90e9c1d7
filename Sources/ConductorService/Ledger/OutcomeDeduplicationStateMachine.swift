// SPDX-License-Identifier: Apache-2.0

/// A state machine that decides whether an outcome that arrives is new, a duplicate or a conflict. It records the
/// outcomes in flight to the broker and the last ones that the broker confirmed, and does no I/O.
///
/// A `Waiter` represents a request that repeats an outcome in flight, and that is answered together with it.
package struct OutcomeDeduplicationStateMachine<Waiter> {
    /// The decision about an outcome that arrived.
    package enum Arrival: Sendable, Hashable {
        /// The outcome is new: publish it, then call ``OutcomeDeduplicationStateMachine/ended(_:isConfirmed:)``.
        case isNew
        /// The same outcome is already in flight. Its waiter is kept until
        /// ``OutcomeDeduplicationStateMachine/ended(_:isConfirmed:)`` returns it.
        case joined
        /// The same outcome was confirmed before.
        case wasConfirmed
        /// Another outcome was sent with this message id.
        case conflicts
    }

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
    ///   - waiter: represents the request; kept with ``Arrival/joined`` only.
    package mutating func arrived(_ key: OutcomeKey, content: UInt64, waiter: @autoclosure () -> Waiter) -> Arrival {
        guard self.confirmed.limit > 0 else { return .isNew }
        if let other = self.confirmed[key] { return other == content ? .wasConfirmed : .conflicts }
        guard let other = self.inFlight[key] else {
            self.inFlight[key] = content
            return .isNew
        }
        guard other == content else { return .conflicts }
        self.waiters[key, default: []].append(waiter())
        return .joined
    }

    /// Records that the publishing of a new outcome ended, with a confirm or without.
    ///
    /// - Returns: the waiters of the requests that repeated the outcome in the meantime.
    package mutating func ended(_ key: OutcomeKey, isConfirmed: Bool) -> [Waiter] {
        guard let content = self.inFlight.removeValue(forKey: key) else { return [] }
        if isConfirmed { self.confirmed.remember(content, for: key) }
        return self.waiters.isEmpty ? [] : self.waiters.removeValue(forKey: key) ?? []
    }
}

extension OutcomeDeduplicationStateMachine: Sendable where Waiter: Sendable {}
