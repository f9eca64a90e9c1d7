// SPDX-License-Identifier: Apache-2.0

/// A state machine that decides when something that happens often is logged: at once the first time, then at most once
/// an interval, with a count. It reads no clock.
package struct LogIntervalStateMachine<Time: Comparable & Sendable>: Sendable {
    /// The time at which the interval after the last line ends; nil before the first line.
    package private(set) var quietUntil: Time?
    /// The number of times that no line has counted.
    package private(set) var unlogged = 0

    /// Creates the state before the first line.
    package init() {}

    /// Returns whether a line may be logged: no interval is running.
    package func mayLog(now: Time) -> Bool { self.quietUntil.map { now >= $0 } ?? true }

    /// Records that it happened.
    package mutating func record() { self.unlogged += 1 }

    /// Records that it happened, and begins an interval if a line may be logged.
    ///
    /// - Parameters:
    ///   - now: the time.
    ///   - end: the end of the interval that a line at this time begins.
    /// - Returns: the number of times to log, this one included; nil if it is only counted.
    package mutating func record(now: Time, quietUntil end: Time) -> Int? {
        self.record()
        return self.mayLog(now: now) ? self.beginInterval(until: end) : nil
    }

    /// Begins an interval with a line.
    ///
    /// - Returns: the number of times that no line has counted before.
    package mutating func beginInterval(until end: Time) -> Int {
        defer { self.unlogged = 0 }
        self.quietUntil = end
        return self.unlogged
    }

    /// Sets the count to zero without a line. An interval that is running continues.
    package mutating func resetCount() { self.unlogged = 0 }
}
