// SPDX-License-Identifier: Apache-2.0

import Dispatch

/// A state machine that schedules the sync of transactions that were committed without waiting for the disk.
///
/// The delay starts at the oldest commit that no later sync covers. A synced commit also covers all earlier commits, so
/// while outcomes arrive continuously, no separate sync is made.
struct SyncScheduleStateMachine {
    /// The time of the oldest commit that may not be on the disk yet.
    private var since: DispatchTime?
    /// Whether a timer is set.
    private var isTimeSet = false

    /// Creates the state in which nothing is committed.
    init() {}

    /// Whether all commits are on the disk.
    var isEmpty: Bool { self.since == nil }

    /// Records that a transaction was committed.
    mutating func committed(isSynced: Bool, _ now: DispatchTime) {
        self.since = isSynced ? nil : self.since ?? now
    }

    /// Returns the time at which the caller must check for an overdue commit; nil when no timer is needed. Only one
    /// timer is set at a time.
    ///
    /// - Parameters:
    ///   - delay: the maximum time that a commit may wait.
    ///   - earliest: the earliest time of the check; used after the disk has refused a sync.
    mutating func timeToSet(after delay: DispatchTimeInterval, earliest: DispatchTime? = nil) -> DispatchTime? {
        guard !self.isTimeSet, let since = self.since else { return nil }
        self.isTimeSet = true
        return max(since + delay, earliest ?? since)
    }

    /// Records that the timer has fired.
    ///
    /// - Returns: whether a commit has waited for the delay.
    mutating func timeCame(_ now: DispatchTime, delay: DispatchTimeInterval) -> Bool {
        self.isTimeSet = false
        guard let since = self.since else { return false }
        return since + delay <= now
    }
}
