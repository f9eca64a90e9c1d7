/// Decides which conductor an agent goes to next, and when. It holds no I/O and no clock.
///
/// The conductors are tried in turn. A round of failures is one attempt, and between attempts there is a pause. A conductor
/// that asked for time is passed over until then, if there is another one.
struct ConductorTurns {
    private let count: Int
    private var backoff: Backoff
    private var turn = 0
    /// Attempts to connect that failed in a row.
    private(set) var failures = 0
    /// Before when a conductor is not to be tried; nil for those that did not ask.
    private var notBefore: [ContinuousClock.Instant?]

    /// - Parameters:
    ///   - count: how many conductors there are, at least one.
    ///   - backoff: the pauses between attempts.
    init(count: Int, backoff: Backoff) {
        self.count = count
        self.backoff = backoff
        self.notBefore = Array(repeating: nil, count: count)
    }

    /// The conductor whose turn it is.
    var current: Int { self.turn % self.count }

    /// The current conductor could not be connected to.
    ///
    /// - Returns: when to go to the one that is current then; nil for at once.
    mutating func failed(now: ContinuousClock.Instant) -> ContinuousClock.Instant? {
        self.failures += 1
        self.turn += 1
        return self.next(now, afterPause: self.failures % self.count == 0)
    }

    /// The current conductor was connected to.
    mutating func connected() { self.failures = 0 }

    /// The connection to the current conductor ended.
    ///
    /// - Parameters:
    ///   - isUseful: whether anything was delivered over it.
    ///   - wantsChange: whether another conductor may be better off.
    ///   - asked: for how long the conductor wants to be left alone; it is believed for five minutes at most.
    ///   - now: the present.
    /// - Returns: when to go to the one that is current then; nil for at once.
    mutating func ended(
        isUseful: Bool, wantsChange: Bool, asked: Duration = .zero, now: ContinuousClock.Instant
    ) -> ContinuousClock.Instant? {
        let asked = min(asked, DeliveryStateMachine.longestAskedPause)
        self.notBefore[self.current] = asked > .zero ? now + asked : nil
        // A conductor that takes connections and nothing else is as good as down.
        if wantsChange || !isUseful { self.turn += 1 }
        if isUseful { self.backoff.reset() }
        return self.next(now, afterPause: true)
    }

    private mutating func next(
        _ now: ContinuousClock.Instant, afterPause: Bool
    ) -> ContinuousClock.Instant? {
        let start = afterPause ? now + self.backoff.next() : now
        // The first in turn that may be tried by then, or else the one that may be soonest.
        var best: (step: Int, time: ContinuousClock.Instant)?
        for step in 0..<self.count {
            let time = max(start, self.notBefore[(self.turn + step) % self.count] ?? start)
            if time < best?.time ?? time + .seconds(1) { best = (step, time) }
        }
        guard let best else { return start }
        self.turn += best.step
        return best.time > now ? best.time : nil
    }
}
