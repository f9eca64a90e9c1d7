// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Testing

@testable import GuestSpool

@Suite struct SyncScheduleStateMachineTests {
    private func time(_ milliseconds: UInt64) -> DispatchTime { .init(uptimeNanoseconds: milliseconds * 1_000_000) }
    private let delay = DispatchTimeInterval.milliseconds(10)

    @Test("A commit is due for a sync after the delay, and only one timer is set")
    func syncAfterDelay() {
        var commits = SyncScheduleStateMachine()
        #expect(commits.isEmpty && commits.timeToSet(after: self.delay) == nil)
        commits.committed(isSynced: false, self.time(100))
        #expect(!commits.isEmpty)
        #expect(commits.timeToSet(after: self.delay) == self.time(110))
        // The same sync covers a later commit.
        commits.committed(isSynced: false, self.time(105))
        #expect(commits.timeToSet(after: self.delay) == nil)
        #expect(commits.timeCame(self.time(110), self.time(110), delay: self.delay) == true)
        commits.committed(isSynced: true, self.time(111))
        #expect(commits.isEmpty && commits.timeToSet(after: self.delay) == nil)
    }

    @Test("A commit that follows a sync waits for its own delay")
    func delayAfterSync() {
        var commits = SyncScheduleStateMachine()
        commits.committed(isSynced: false, self.time(100))
        #expect(commits.timeToSet(after: self.delay) == self.time(110))
        commits.committed(isSynced: true, self.time(103))
        commits.committed(isSynced: false, self.time(108))
        #expect(commits.timeCame(self.time(110), self.time(110), delay: self.delay) == false)
        // The later commit has its own timer.
        #expect(commits.timeToSet(after: self.delay) == self.time(118))
        #expect(commits.timeCame(self.time(118), self.time(118), delay: self.delay) == true)
    }

    @Test("A failed sync is retried at the given time, or by the next transaction")
    func retryAfterFailure() {
        var commits = SyncScheduleStateMachine()
        commits.committed(isSynced: false, self.time(100))
        #expect(commits.timeToSet(after: self.delay) == self.time(110))
        #expect(commits.timeCame(self.time(110), self.time(110), delay: self.delay) == true)
        commits.syncFailed(retryAt: self.time(1110))
        #expect(commits.timeToSet(after: self.delay) == self.time(1110))
        #expect(commits.timeToSet(after: self.delay) == nil)
        #expect(commits.isOverdue(self.time(111), delay: self.delay))
        #expect(commits.timeCame(self.time(1110), self.time(1110), delay: self.delay) == true)
    }

    @Test("After a failed sync, a later commit waits for its own delay and not for the retry")
    func commitAfterFailure() {
        var commits = SyncScheduleStateMachine()
        commits.committed(isSynced: false, self.time(100))
        #expect(commits.timeToSet(after: self.delay) == self.time(110))
        #expect(commits.timeCame(self.time(110), self.time(110), delay: self.delay) == true)
        commits.syncFailed(retryAt: self.time(1110))
        #expect(commits.timeToSet(after: self.delay) == self.time(1110))
        commits.committed(isSynced: true, self.time(150))
        commits.committed(isSynced: false, self.time(200))
        #expect(commits.timeToSet(after: self.delay) == self.time(210))
        // The other timer fires later, and finds nothing to do.
        #expect(commits.timeCame(self.time(210), self.time(210), delay: self.delay) == true)
        commits.committed(isSynced: true, self.time(211))
        #expect(commits.timeCame(self.time(1110), self.time(1110), delay: self.delay) == false)
        #expect(commits.timeToSet(after: self.delay) == nil)
    }

    @Test("The next transaction is synced once the delay is over, even if no timer fires")
    func overdueWithoutTimer() {
        var commits = SyncScheduleStateMachine()
        var unsyncedSince = 1
        for millisecond in 1..<1000 {
            let now = self.time(UInt64(millisecond))
            let isSynced = commits.isOverdue(now, delay: self.delay)
            commits.committed(isSynced: isSynced, now)
            if isSynced { unsyncedSince = millisecond + 1 }
            #expect(millisecond - unsyncedSince < 10)
        }
    }
}
