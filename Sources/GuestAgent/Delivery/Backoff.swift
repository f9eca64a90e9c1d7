/// Waiting times between attempts: a random time up to a bound that doubles ("full jitter"), so that guests which lost
/// the same conductor do not come back at the same moment.
struct Backoff {
    let minimum: Duration
    private let maximum: Duration
    private var attempts = 0

    init(minimum: Duration, maximum: Duration) {
        self.minimum = minimum
        self.maximum = maximum
    }

    /// An attempt succeeded.
    mutating func reset() { self.attempts = 0 }

    /// How long to wait before the next attempt: at least half the minimum, at most the maximum.
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
