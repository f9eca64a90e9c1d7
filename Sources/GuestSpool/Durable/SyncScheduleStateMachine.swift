// SPDX-License-Identifier: Apache-2.0

import Dispatch

/// A state machine that schedules the sync of transactions that were committed without waiting for the disk.
///
/// The delay starts at the oldest commit that no later sync covers. A synced commit also covers all earlier commits, so
/// while outcomes arrive continuously, no separate sync is made. While other changes arrive continuously, the next of
/// their transactions is synced when the oldest commit is overdue, so the sync does not depend on a timer then.
struct SyncScheduleStateMachine {
    /// The time of the oldest commit that may not be on the disk yet.
    private var since: DispatchTime?
    /// The earliest time of a sync of its own after the disk has refused one.
    private var retryTime: DispatchTime?

    /// Creates the state in which nothing is committed.
    init() {}

    /// Whether all commits are on the disk.
    var isEmpty: Bool { self.since == nil }

    /// Returns whether a commit has waited for the delay or longer: the next transaction must then wait for the disk.
    func isOverdue(_ now: DispatchTime, delay: DispatchTimeInterval) -> Bool {
        guard let since = self.since else { return false }
        return since + delay <= now
    }

    /// Returns whether a sync of its own is to be made now.
    func isDue(_ now: DispatchTime, delay: DispatchTimeInterval) -> Bool {
        self.isOverdue(now, delay: delay) && self.retryTime.map { $0 <= now } ?? true
    }

    /// Returns the time at which a sync of its own is due; nil when all commits are on the disk.
    ///
    /// - Parameter delay: the maximum time that a commit may wait.
    func deadline(after delay: DispatchTimeInterval) -> DispatchTime? {
        guard let since = self.since else { return nil }
        return max(since + delay, self.retryTime ?? since)
    }

    /// Records that a transaction was committed.
    mutating func recordCommit(isSynced: Bool, _ now: DispatchTime) {
        self.since = isSynced ? nil : self.since ?? now
        self.retryTime = nil
    }

    /// Records that the disk refused a sync. The sync is retried at the given time, or with the next transaction.
    mutating func recordFailure(retryAt time: DispatchTime) { self.retryTime = time }
}
