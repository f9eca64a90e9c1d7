// SPDX-License-Identifier: Apache-2.0

/// A state machine that divides a flush's time among its spools. Only a few spools are delivered at once, because each
/// has threads of its own and the system may allow few (``ThreadRequirements``).
///
/// A spool's agent lives no longer than its turn. A turn begins at the conductor that accepted outcomes last. Until a
/// conductor has, turns begin at the conductors round robin, so that a conductor that does not answer delays few of
/// them.
package struct FlushScheduleStateMachine: Sendable {
    /// The number of spools that are inspected, or delivered, at once.
    package static let atOnce = 2

    /// The shortest time to wait for a connection, even in a shorter turn, unless the settings have a shorter one.
    package static let shortestConnectTimeout = Duration.seconds(2)

    /// The turn of one spool.
    package struct Turn: Sendable, Hashable {
        /// The time that the turn may take.
        package let time: Duration
        /// The time to wait for a connection.
        package let connectTimeout: Duration
        /// The index in the settings of the conductor at which the turn begins.
        package let conductor: Int

        /// Returns the conductors in the order in which the turn tries them.
        package func order<Conductor>(of conductors: [Conductor]) -> [Conductor] {
            Array(conductors[self.conductor...] + conductors[..<self.conductor])
        }
    }

    private let end: ContinuousClock.Instant
    private let conductors: Int
    private let connectTimeout: Duration
    private var rest: Int
    /// The index of the conductor at which the next turn begins.
    private var conductor = 0
    /// Whether that conductor has accepted outcomes.
    private var hasDelivered = false

    /// - Parameters:
    ///   - count: how many spools there are to deliver.
    ///   - end: the time by which all of them must be done.
    ///   - conductors: how many conductors there are, at least one.
    ///   - connectTimeout: the longest time to wait for a connection.
    package init(count: Int, end: ContinuousClock.Instant, conductors: Int, connectTimeout: Duration) {
        self.rest = count
        self.end = end
        self.conductors = conductors
        self.connectTimeout = connectTimeout
    }

    /// Returns the next spool's turn. The turns after it have as much time if each takes all of its own. The turn has
    /// time for an attempt at each conductor, unless it is shorter than ``shortestConnectTimeout`` for each.
    package mutating func next(now: ContinuousClock.Instant) -> Turn {
        let turns = max(1, (self.rest + Self.atOnce - 1) / Self.atOnce)
        self.rest = max(0, self.rest - 1)
        let time = max(.zero, (self.end - now) / turns)
        let connectTimeout = min(self.connectTimeout, max(Self.shortestConnectTimeout, time / self.conductors))
        let turn = Turn(time: time, connectTimeout: connectTimeout, conductor: self.conductor)
        if !self.hasDelivered { self.advance() }
        return turn
    }

    /// Records that a conductor accepted outcomes.
    ///
    /// - Parameter conductor: the conductor's index in the settings.
    package mutating func delivered(to conductor: Int) { (self.conductor, self.hasDelivered) = (conductor, true) }

    /// Records that no conductor accepted any of the outcomes that wait in the turn's spool.
    package mutating func failed(_ turn: Turn) {
        guard self.hasDelivered, turn.conductor == self.conductor else { return }
        self.hasDelivered = false
        self.advance()
    }

    private mutating func advance() { self.conductor = (self.conductor + 1) % self.conductors }

    /// Runs the body for each element, for ``atOnce`` elements at once.
    ///
    /// - Returns: the bodies' results, in the order in which the bodies returned.
    package static func each<Element: Sendable, Value: Sendable>(
        _ elements: [Element], _ body: @escaping @Sendable (Element) async -> Value
    ) async -> [Value] {
        await withTaskGroup(of: Value.self) { group in
            var values: [Value] = []
            for (index, element) in elements.enumerated() {
                if index >= Self.atOnce, let value = await group.next() { values.append(value) }
                group.addTask { await body(element) }
            }
            for await value in group { values.append(value) }
            return values
        }
    }
}
