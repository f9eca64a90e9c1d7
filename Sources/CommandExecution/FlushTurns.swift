/// Divides the time of a flush among its spools, of which a few are delivered at once: each has threads of its own, and the system
/// may allow few (``ThreadDemand``).
///
/// A spool's agent lives no longer than its turn. So that a conductor that does not answer holds up few of them, a turn begins at
/// the conductor that took outcomes last, and at each in turn before one did.
package struct FlushTurns: Sendable {
    /// Spools that are looked at, or delivered, at once.
    package static let atOnce = 2

    /// However short a turn is, a connection is waited for as long as this, if not the settings name a shorter time.
    package static let shortestConnectTimeout = Duration.seconds(2)

    /// One spool's.
    package struct Turn: Sendable, Hashable {
        /// How long it may take.
        package let time: Duration
        /// How long to wait for a connection.
        package let connectTimeout: Duration
        /// The place of the conductor that it begins at, in the settings.
        package let conductor: Int

        /// The conductors in the order in which the turn tries them.
        package func order<Conductor>(of conductors: [Conductor]) -> [Conductor] {
            Array(conductors[self.conductor...] + conductors[..<self.conductor])
        }
    }

    private let end: ContinuousClock.Instant
    private let conductors: Int
    private let connectTimeout: Duration
    private var rest: Int
    /// Where the next turn begins.
    private var conductor = 0
    /// Whether that conductor took outcomes.
    private var isProven = false

    /// - Parameters:
    ///   - count: how many spools there are to deliver.
    ///   - end: when all of them are to be done.
    ///   - conductors: how many conductors there are, at least one.
    ///   - connectTimeout: how long to wait for a connection at most.
    package init(count: Int, end: ContinuousClock.Instant, conductors: Int, connectTimeout: Duration) {
        self.rest = count
        self.end = end
        self.conductors = conductors
        self.connectTimeout = connectTimeout
    }

    /// Returns the next spool's turn. Those behind it have as much time if each takes all of its own, and within it there is time for
    /// an attempt at each conductor.
    package mutating func next(now: ContinuousClock.Instant) -> Turn {
        let turns = max(1, (self.rest + Self.atOnce - 1) / Self.atOnce)
        self.rest = max(0, self.rest - 1)
        let time = max(.zero, (self.end - now) / turns)
        let connectTimeout = min(self.connectTimeout, max(Self.shortestConnectTimeout, time / self.conductors))
        let turn = Turn(time: time, connectTimeout: connectTimeout, conductor: self.conductor)
        if !self.isProven { self.advance() }
        return turn
    }

    /// Records that a conductor took outcomes.
    ///
    /// - Parameter conductor: its place in the settings.
    package mutating func delivered(to conductor: Int) { (self.conductor, self.isProven) = (conductor, true) }

    /// Records that no conductor took any of the outcomes that wait in the turn's spool.
    package mutating func failed(_ turn: Turn) {
        guard self.isProven, turn.conductor == self.conductor else { return }
        self.isProven = false
        self.advance()
    }

    private mutating func advance() { self.conductor = (self.conductor + 1) % self.conductors }

    /// Runs the body for each element, for a few at once.
    ///
    /// - Returns: what it returned, in the order in which it did.
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
