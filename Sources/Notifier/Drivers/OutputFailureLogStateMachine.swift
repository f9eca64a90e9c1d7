// SPDX-License-Identifier: Apache-2.0

import Timing

/// Decides when failures of an output are logged: the first at once, then at most once a minute with the number of
/// failures, and finally when a write succeeds again. It holds no clock.
struct OutputFailureLogStateMachine {
    /// The minimum time between two log lines about failures.
    static let interval = Duration.seconds(60)

    private var log = LogIntervalStateMachine<ContinuousClock.Instant>()
    private var failures = 0

    /// Records that a write failed.
    ///
    /// - Returns: the number of failed writes to log; nil to log nothing now.
    mutating func recordFailure(now: ContinuousClock.Instant) -> Int? {
        self.failures += 1
        // The interval also holds for an output that fails and recovers again and again.
        return self.log.record(now: now, quietUntil: now + Self.interval)
    }

    /// Records that a write succeeded.
    ///
    /// - Returns: the number of writes that failed since the last success; nil to log nothing, when no write failed or
    ///   no failure was logged.
    mutating func recordSuccess() -> Int? {
        guard self.failures > 0 else { return nil }
        let isLogged = self.failures > self.log.unlogged
        let failures = self.failures
        self.failures = 0
        self.log.resetCount()
        return isLogged ? failures : nil
    }
}
