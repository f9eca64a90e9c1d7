// SPDX-License-Identifier: Apache-2.0

/// Exponential backoff with full jitter: each delay is random, up to a bound that doubles with each attempt. Guests
/// that lost the same conductor therefore do not reconnect at the same moment.
struct Backoff {
    let minimum: Duration
    private let maximum: Duration
    private var attempts = 0

    init(minimum: Duration, maximum: Duration) {
        self.minimum = minimum
        self.maximum = maximum
    }

    /// Resets the bound to the minimum, after an attempt succeeded.
    mutating func reset() { self.attempts = 0 }

    /// Returns the delay before the next attempt: at least half the minimum, at most the maximum.
    mutating func next() -> Duration {
        var generator = SystemRandomNumberGenerator()
        return self.next(using: &generator)
    }

    mutating func next(using generator: inout some RandomNumberGenerator) -> Duration {
        let bound = min(self.minimum * (1 << min(self.attempts, 20)), self.maximum)
        self.attempts += 1
        return max(self.minimum / 2, bound * Double.random(in: 0...1, using: &generator))
    }
}
