// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// A state machine that decides when something that happens often is logged: at once the first time, then once an
/// interval with a count. It reads no clock.
package struct LogIntervalStateMachine: Sendable {
    /// The action after an event.
    package enum Action: Hashable, Sendable {
        /// Log the event now.
        case write
        /// Call ``LogIntervalStateMachine/due(now:)`` at this time.
        case callLater(NIODeadline)
        /// Do nothing. The event is counted, and will be logged.
        case none
    }

    private let interval: TimeAmount
    private var next: NIODeadline?
    private var gathered = 0

    /// - Parameter interval: the minimum time between two lines.
    package init(interval: TimeAmount) { self.interval = interval }

    /// Records that it happened.
    package mutating func happened(now: NIODeadline) -> Action {
        if let next, now < next {
            self.gathered += 1
            return self.gathered == 1 ? .callLater(next) : .none
        }
        guard self.gathered == 0 else {
            // The call is due, and will log this event too.
            self.gathered += 1
            return .none
        }
        self.next = now + self.interval
        return .write
    }

    /// Ends an interval. Called at the time that ``Action/callLater(_:)`` names.
    ///
    /// - Returns: the number of events since the last line.
    package mutating func due(now: NIODeadline) -> Int {
        defer { self.gathered = 0 }
        self.next = now + self.interval
        return self.gathered
    }
}
