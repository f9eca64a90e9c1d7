/// Decides when an output that cannot be written to is logged: at once, then once a minute with how often it was, and when it
/// can be written to again. It holds no clock.
struct OutputTroubleStateMachine {
    /// How long between two lines at least.
    static let interval = Duration.seconds(60)

    private var lastLogged: ContinuousClock.Instant?
    private var unlogged = 0
    private var failures = 0

    /// A write failed.
    ///
    /// - Returns: how many writes to log as failed; nil to log nothing now.
    mutating func failed(now: ContinuousClock.Instant) -> Int? {
        self.failures += 1
        self.unlogged += 1
        // An output that fails and recovers in turn is logged no more often.
        if let lastLogged, now - lastLogged < Self.interval { return nil }
        self.lastLogged = now
        defer { self.unlogged = 0 }
        return self.unlogged
    }

    /// A write succeeded.
    ///
    /// - Returns: how many writes had failed since the last that did not; nil to log nothing, as when none had or their
    ///   failure was not logged.
    mutating func succeeded() -> Int? {
        guard self.failures > 0 else { return nil }
        let isLogged = self.failures > self.unlogged
        let failures = self.failures
        (self.failures, self.unlogged) = (0, 0)
        return isLogged ? failures : nil
    }
}
