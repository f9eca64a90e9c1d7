// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import Timing

/// A state machine that decides when a warning is logged: at once the first time, then once an interval with a count. A
/// timer ends an interval, so that the count is logged although nothing happens any more. It reads no clock.
package struct RateLimitedWarningStateMachine: Sendable {
    /// The action after an event.
    package enum Action: Hashable, Sendable {
        /// Log the event now.
        case write
        /// Call ``RateLimitedWarningStateMachine/due(now:)`` at this time.
        case callLater(NIODeadline)
        /// Do nothing. The event is counted, and will be logged.
        case none
    }

    private let interval: TimeAmount
    private var log = LogIntervalStateMachine<NIODeadline>()

    /// - Parameter interval: the minimum time between two lines.
    package init(interval: TimeAmount) { self.interval = interval }

    /// Records that it happened.
    package mutating func record(now: NIODeadline) -> Action {
        // The call that an earlier event requested will log this event too, also if the call is late.
        guard self.log.unlogged == 0 else {
            self.log.record()
            return .none
        }
        guard self.log.record(now: now, quietUntil: now + self.interval) == nil else { return .write }
        return self.log.quietUntil.map { .callLater($0) } ?? .none
    }

    /// Ends an interval. Called at the time that ``Action/callLater(_:)`` names.
    ///
    /// - Returns: the number of events since the last line.
    package mutating func due(now: NIODeadline) -> Int { self.log.beginInterval(until: now + self.interval) }
}
