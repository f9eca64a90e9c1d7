/// Divides the time of a flush among its spools, of which a few are delivered at once: each has threads of its own, and the system
/// may allow few (``ThreadDemand``).
package struct FlushTurns: Sendable {
    /// Spools that are looked at, or delivered, at once.
    package static let atOnce = 2

    private let end: ContinuousClock.Instant
    private var rest: Int

    /// - Parameters:
    ///   - count: how many spools there are to deliver.
    ///   - end: when all of them are to be done.
    package init(count: Int, end: ContinuousClock.Instant) {
        self.rest = count
        self.end = end
    }

    /// How long the next spool may take, so that those behind it have as much if each takes all of its time.
    package mutating func next(now: ContinuousClock.Instant) -> Duration {
        let turns = max(1, (self.rest + Self.atOnce - 1) / Self.atOnce)
        self.rest = max(0, self.rest - 1)
        return max(.zero, (self.end - now) / turns)
    }

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
