// SPDX-License-Identifier: Apache-2.0

import Timing

/// Decides which conductor an agent connects to next, and when (failover). It holds no I/O and no clock.
///
/// The conductors are tried in round robin. A backoff delay follows each round in which all of them failed, and each
/// connection that ended. A conductor that requested a pause is skipped until the pause ends, if another one can be
/// tried earlier.
struct FailoverStateMachine {
    private let count: Int
    private var backoff: Backoff
    private var position = 0
    /// The number of attempts to connect that failed in a row.
    private(set) var failures = 0
    /// The earliest time to try each conductor again; nil for those that requested no pause.
    private var notBefore: [ContinuousClock.Instant?]

    /// - Parameters:
    ///   - count: the number of conductors, at least one.
    ///   - backoff: the delays between attempts.
    init(count: Int, backoff: Backoff) {
        self.count = count
        self.backoff = backoff
        self.notBefore = Array(repeating: nil, count: count)
    }

    /// The index of the current conductor.
    var current: Int { self.position % self.count }

    /// Records that the current conductor could not be connected to.
    ///
    /// - Returns: when to connect to the conductor that is current afterwards; nil for at once.
    mutating func recordConnectFailure(now: ContinuousClock.Instant) -> ContinuousClock.Instant? {
        self.failures += 1
        self.position += 1
        return self.nextAttempt(now, afterBackoff: self.failures % self.count == 0)
    }

    /// Records that the current conductor was connected to.
    mutating func recordConnected() { self.failures = 0 }

    /// Records that the connection to the current conductor ended.
    ///
    /// - Parameters:
    ///   - hasDelivered: whether anything was delivered over the connection.
    ///   - wantsChange: whether to try another conductor next.
    ///   - requestedPause: the pause that the conductor requested; it is limited to five minutes.
    ///   - now: the current time.
    /// - Returns: when to connect to the conductor that is current afterwards; nil for at once.
    mutating func recordConnectionEnd(
        hasDelivered: Bool, wantsChange: Bool, requestedPause: Duration = .zero, now: ContinuousClock.Instant
    ) -> ContinuousClock.Instant? {
        let requestedPause = min(requestedPause, DeliveryStateMachine.maximumRequestedPause)
        self.notBefore[self.current] = requestedPause > .zero ? now + requestedPause : nil
        // A conductor that accepts connections but delivers nothing counts as down.
        if wantsChange || !hasDelivered { self.position += 1 }
        if hasDelivered { self.backoff.reset() }
        return self.nextAttempt(now, afterBackoff: true)
    }

    private mutating func nextAttempt(
        _ now: ContinuousClock.Instant, afterBackoff: Bool
    ) -> ContinuousClock.Instant? {
        let start = afterBackoff ? now + self.backoff.next() : now
        // Select the first conductor in turn that may be tried at the start time, otherwise the one that may be tried
        // soonest.
        var best: (step: Int, time: ContinuousClock.Instant)?
        for step in 0..<self.count {
            let time = max(start, self.notBefore[(self.position + step) % self.count] ?? start)
            if time < best?.time ?? time + .seconds(1) { best = (step, time) }
        }
        guard let best else { return start }
        self.position += best.step
        return best.time > now ? best.time : nil
    }
}
