// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import NIOCore
import Timing

/// A rate limit for log lines about events that guests can cause as often as they like: one line a minute for each
/// guest, with the number of its events that were not logged before. It reads no clock.
struct GuestLogLimitStateMachine: Sendable {
    /// The time after a guest's line during which its events are only counted.
    static let interval = TimeAmount.minutes(1)
    /// The maximum number of guests. While so many guests had a line within the interval, no other guest gets one.
    static let limit = 1024

    /// The numbers in a line that is due. They are in no other line.
    struct Line: Sendable, Hashable {
        /// The number of the guest's events since its last line that were not logged.
        var before = 0
        /// The number of other guests' events that were not logged because there was no space for those guests.
        var beforeOfOthers = 0
    }

    private var guests: [PeerIdentity: LogIntervalStateMachine<NIODeadline>] = [:]
    private var unloggedOfOthers = 0

    /// Records an event of a guest.
    ///
    /// - Parameter hasPlace: whether the log has a slot for a line; called when one is due. An event without a slot is
    ///   counted.
    /// - Returns: the numbers for the line; nil if this event is not logged but counted.
    mutating func record(_ guest: PeerIdentity, now: NIODeadline, hasPlace: () -> Bool = { true }) -> Line? {
        if let known = self.guests[guest], !known.mayLog(now: now) {
            self.guests[guest]?.record()
            return nil
        }
        if self.guests[guest] == nil, self.guests.count >= Self.limit {
            self.makeRoom(now: now)
            guard self.guests.count < Self.limit else {
                self.unloggedOfOthers += 1
                return nil
            }
        }
        var log = self.guests[guest] ?? LogIntervalStateMachine()
        defer { self.guests[guest] = log }
        guard hasPlace() else {
            log.record()
            return nil
        }
        defer { self.unloggedOfOthers = 0 }
        return Line(before: log.beginInterval(until: now + Self.interval), beforeOfOthers: self.unloggedOfOthers)
    }

    /// Removes the guests whose interval is over. Their counts are logged with the next line.
    private mutating func makeRoom(now: NIODeadline) {
        self.guests = self.guests.filter { guest in
            guard guest.value.mayLog(now: now) else { return true }
            self.unloggedOfOthers += guest.value.unlogged
            return false
        }
    }
}
