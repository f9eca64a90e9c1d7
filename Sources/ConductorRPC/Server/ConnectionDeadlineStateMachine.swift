// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// A state machine that decides when a connection has been idle for too long, or a line takes too long. It reads no
/// clock.
struct ConnectionDeadlineStateMachine {
    /// A deadline that has passed.
    enum Passed: Equatable {
        /// Nothing arrived, and nothing is in flight.
        case idle
        /// A line began and did not end.
        case line
    }

    private let idle: TimeAmount
    private let line: TimeAmount
    private var lastSign: NIODeadline
    private var lineBegan: NIODeadline?

    /// - Parameters:
    ///   - idle: how long the connection may be idle: nothing arrives, and nothing is in flight.
    ///   - line: how long a line may take from its first byte to its end.
    init(idle: TimeAmount, line: TimeAmount, now: NIODeadline) {
        self.idle = idle
        self.line = line
        self.lastSign = now
    }

    /// Records that something arrived, or was answered.
    mutating func recordActivity(now: NIODeadline) { self.lastSign = max(self.lastSign, now) }

    /// Records that the input was scanned for lines.
    ///
    /// - Parameters:
    ///   - isInLine: whether a line has begun and not ended. It is false while the rest of a line is left unread: that
    ///     time does not count.
    ///   - hasEnded: whether another line has ended since the last call: then the unfinished line is a new one.
    mutating func recordScan(isInLine: Bool, hasEnded: Bool, now: NIODeadline) {
        if hasEnded || !isInLine { self.lineBegan = nil }
        if isInLine, self.lineBegan == nil { self.lineBegan = now }
    }

    /// Returns the deadline that has passed by now, if any.
    ///
    /// - Parameter isBusy: whether requests are in flight, or reading is paused: then the peer is not the cause of the
    ///   silence.
    func passed(now: NIODeadline, isBusy: Bool) -> Passed? {
        if let lineBegan, now - lineBegan >= self.line { return .line }
        return !isBusy && now - self.lastSign >= self.idle ? .idle : nil
    }

    /// Returns the time of the next check.
    func next(now: NIODeadline) -> NIODeadline {
        var next = self.lastSign + self.idle
        // The deadline of a busy connection has passed; it counts again from the next activity.
        if next <= now { next = now + self.idle }
        if let lineBegan { next = min(next, lineBegan + self.line) }
        return next
    }
}
