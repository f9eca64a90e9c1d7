package import NIOCore

/// A rate with room for bursts: so many tokens a second flow in, and so many are kept. It holds no clock; a time that lies
/// before the last one counts as that.
package struct TokenBucket: Sendable {
    /// Tokens a second.
    package let rate: Double
    /// How many are kept.
    package let burst: Double
    private var tokens: Double
    private var time: NIODeadline

    /// A full bucket.
    ///
    /// - Parameters:
    ///   - rate: tokens a second, above zero.
    ///   - burst: how many are kept, at least one.
    package init(rate: Double, burst: Double, now: NIODeadline) {
        self.rate = max(rate, 1e-6)
        self.burst = max(burst, 1)
        self.tokens = self.burst
        self.time = now
    }

    /// Takes one token if there is one.
    package mutating func take(now: NIODeadline) -> Bool {
        self.flow(now)
        guard self.tokens >= 1 else { return false }
        self.tokens -= 1
        return true
    }

    /// Takes so many tokens, whether they are there or not: what is owed must flow in first.
    package mutating func spend(_ count: Int, now: NIODeadline) {
        self.flow(now)
        self.tokens -= Double(count)
    }

    /// How long until there are so many tokens, the burst at most; zero when they are there.
    package func wait(for count: Double, now: NIODeadline) -> TimeAmount {
        let missing = min(count, self.burst) - self.tokens(at: now)
        guard missing > 0 else { return .zero }
        return .nanoseconds(Int64(min(missing / self.rate * 1e9, 1e18).rounded(.up)))
    }

    /// Whether nothing more flows in: a bucket that is full is as good as a new one.
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
