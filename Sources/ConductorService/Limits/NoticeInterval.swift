package import NIOCore

/// Decides when something that happens often is written to the log: at once the first time, then once an interval with how
/// often it was. It holds no clock.
package struct NoticeInterval: Sendable {
    /// What to do now that it happened.
    package enum Action: Hashable, Sendable {
        /// Write that it happened.
        case write
        /// Call ``NoticeInterval/due(now:)`` then.
        case callLater(NIODeadline)
        /// It is counted, and will be written.
        case none
    }

    private let interval: TimeAmount
    private var next: NIODeadline?
    private var gathered = 0

    /// - Parameter interval: how long between two lines at least.
    package init(interval: TimeAmount) { self.interval = interval }

    /// It happened.
    package mutating func happened(now: NIODeadline) -> Action {
        if let next, now < next {
            self.gathered += 1
            return self.gathered == 1 ? .callLater(next) : .none
        }
        guard self.gathered == 0 else {
            // The call is due, and will write this one too.
            self.gathered += 1
            return .none
        }
        self.next = now + self.interval
        return .write
    }

    /// The time has come that ``Action/callLater(_:)`` named.
    ///
    /// - Returns: how often it has happened since the last line.
    package mutating func due(now: NIODeadline) -> Int {
        defer { self.gathered = 0 }
        self.next = now + self.interval
        return self.gathered
    }
}
