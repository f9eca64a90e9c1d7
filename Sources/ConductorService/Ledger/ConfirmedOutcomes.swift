/// The outcomes that are on their way to the broker, and the last ones that it confirmed: decides what an arrival is.
/// It holds no I/O.
///
/// `Waiter` is who is to be told of an outcome that another arrival brought first.
package struct ConfirmedOutcomes<Waiter> {
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
    }

    /// What each says, by its digest.
    private var onTheirWay: [OutcomeKey: UInt64] = [:]
    private var confirmed: RecentMemory<OutcomeKey, UInt64>
    /// Those who sent again what is on its way; almost always empty.
    private var waiters: [OutcomeKey: [Waiter]] = [:]

    /// - Parameter limit: how many confirmed outcomes are remembered, the oldest being forgotten first; with 0 each
    ///   arrival is new.
    package init(limit: Int) { self.confirmed = RecentMemory(limit: limit) }

    /// How many confirmed outcomes are remembered.
    package var rememberedCount: Int { self.confirmed.count }

    /// How many outcomes are on their way, those who joined not counted.
    package var onTheirWayCount: Int { self.onTheirWay.count }

    /// Whether an outcome of this key is on its way or was confirmed, whatever it says.
    package func isKnown(_ key: OutcomeKey) -> Bool { self.onTheirWay[key] != nil || self.confirmed[key] != nil }

    /// An outcome arrived.
    ///
    /// - Parameters:
    ///   - key: its id and sender.
    ///   - content: a digest of what it says.
    ///   - waiter: kept with ``Arrival/joined`` only.
    package mutating func arrived(_ key: OutcomeKey, content: UInt64, waiter: @autoclosure () -> Waiter) -> Arrival {
        guard self.confirmed.limit > 0 else { return .isNew }
        if let other = self.confirmed[key] { return other == content ? .wasConfirmed : .conflicts }
        guard let other = self.onTheirWay[key] else {
            self.onTheirWay[key] = content
            return .isNew
        }
        guard other == content else { return .conflicts }
        self.waiters[key, default: []].append(waiter())
        return .joined
    }

    /// The broker confirmed a new outcome, or did not.
    ///
    /// - Returns: those who sent the same meanwhile.
    package mutating func ended(_ key: OutcomeKey, isConfirmed: Bool) -> [Waiter] {
        guard let content = self.onTheirWay.removeValue(forKey: key) else { return [] }
        if isConfirmed { self.confirmed.remember(content, for: key) }
        return self.waiters.isEmpty ? [] : self.waiters.removeValue(forKey: key) ?? []
    }
}

extension ConfirmedOutcomes: Sendable where Waiter: Sendable {}
