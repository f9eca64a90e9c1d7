import NIOCore

/// Decides when a connection has been quiet for too long, or takes too long for a line. It holds no clock.
struct ConnectionDeadlines {
    /// What has taken too long.
    enum Passed: Equatable {
        /// Nothing came, and nothing is in flight.
        case idle
        /// A line had begun and did not end.
        case line
    }

    private let idle: TimeAmount
    private let line: TimeAmount
    private var lastSign: NIODeadline
    private var lineBegan: NIODeadline?

    /// - Parameters:
    ///   - idle: how long nothing may come while nothing is in flight.
    ///   - line: how long a line may take from its first byte to its end.
    init(idle: TimeAmount, line: TimeAmount, now: NIODeadline) {
        self.idle = idle
        self.line = line
        self.lastSign = now
    }

    /// Something came, or was answered.
    mutating func signOfLife(now: NIODeadline) { self.lastSign = max(self.lastSign, now) }

    /// What was read was looked at.
    ///
    /// - Parameters:
    ///   - isInLine: whether a line has begun that has not ended. A line whose rest is left lying, unread, takes no time.
    ///   - hasEnded: whether another line ended meanwhile: then it is a new one.
    mutating func looked(isInLine: Bool, hasEnded: Bool, now: NIODeadline) {
        if hasEnded || !isInLine { self.lineBegan = nil }
        if isInLine, self.lineBegan == nil { self.lineBegan = now }
    }

    /// What has taken too long by now.
    ///
    /// - Parameter isBusy: whether requests are in flight, or nothing is read: then silence is not the peer's.
    func passed(now: NIODeadline, isBusy: Bool) -> Passed? {
        if let lineBegan, now - lineBegan >= self.line { return .line }
        return !isBusy && now - self.lastSign >= self.idle ? .idle : nil
    }

    /// When to look again.
    func next(now: NIODeadline) -> NIODeadline {
        var next = self.lastSign + self.idle
        // Of a busy connection the deadline has passed, and counts from its next sign of life.
        if next <= now { next = now + self.idle }
        if let lineBegan { next = min(next, lineBegan + self.line) }
        return next
    }
}
