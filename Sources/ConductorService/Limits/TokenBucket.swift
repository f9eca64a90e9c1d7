// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// A token bucket: a rate limit that allows bursts. Tokens are added at a constant rate, and at most `burst` are kept.
/// It reads no clock. A time before the last one counts as the last one.
package struct TokenBucket: Sendable {
    /// Tokens a second.
    package let rate: Double
    /// The maximum number of tokens that are kept.
    package let burst: Double
    private var tokens: Double
    private var time: NIODeadline

    /// Creates a full bucket.
    ///
    /// - Parameters:
    ///   - rate: tokens a second, above zero.
    ///   - burst: the maximum number of tokens that are kept, at least one.
    package init(rate: Double, burst: Double, now: NIODeadline) {
        self.rate = max(rate, 1e-6)
        self.burst = max(burst, 1)
        self.tokens = self.burst
        self.time = now
    }

    /// Takes one token if there is one, and returns whether there was.
    package mutating func take(now: NIODeadline) -> Bool {
        self.flow(now)
        guard self.tokens >= 1 else { return false }
        self.tokens -= 1
        return true
    }

    /// Takes so many tokens, whether they are available or not. A debt must be refilled first.
    package mutating func spend(_ count: Int, now: NIODeadline) {
        self.flow(now)
        self.tokens -= Double(count)
    }

    /// Returns the time until so many tokens are available, or the whole burst if that is less; zero if they are
    /// available.
    package func wait(for count: Double, now: NIODeadline) -> TimeAmount {
        let missing = min(count, self.burst) - self.tokens(at: now)
        guard missing > 0 else { return .zero }
        return .nanoseconds(Int64(min(missing / self.rate * 1e9, 1e18).rounded(.up)))
    }

    /// Whether no more tokens are added: a full bucket is like a new one.
    package func isFull(now: NIODeadline) -> Bool { self.tokens(at: now) >= self.burst }

    private mutating func flow(_ now: NIODeadline) {
        self.tokens = self.tokens(at: now)
        self.time = max(self.time, now)
    }

    private func tokens(at now: NIODeadline) -> Double {
        guard now > self.time else { return self.tokens }
        return min(self.burst, self.tokens + Double((now - self.time).nanoseconds) / 1e9 * self.rate)
    }
}
