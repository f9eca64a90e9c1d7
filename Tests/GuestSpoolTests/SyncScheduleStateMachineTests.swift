// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Testing

@testable import GuestSpool

@Suite struct SyncScheduleStateMachineTests {
    private func time(_ milliseconds: UInt64) -> DispatchTime { .init(uptimeNanoseconds: milliseconds * 1_000_000) }
    private let delay = DispatchTimeInterval.milliseconds(10)

    @Test("A commit is due for a sync after the delay, which a later commit does not postpone")
    func syncAfterDelay() {
        var commits = SyncScheduleStateMachine()
        #expect(commits.isEmpty && commits.deadline(after: self.delay) == nil)
        commits.recordCommit(isSynced: false, self.time(100))
        #expect(!commits.isEmpty)
        // The same sync covers a later commit.
        commits.recordCommit(isSynced: false, self.time(105))
        #expect(commits.deadline(after: self.delay) == self.time(110))
        #expect(!commits.isDue(self.time(109), delay: self.delay))
        #expect(commits.isDue(self.time(110), delay: self.delay))
        commits.recordCommit(isSynced: true, self.time(111))
        #expect(commits.isEmpty && commits.deadline(after: self.delay) == nil)
    }

    @Test("A commit that follows a sync waits for its own delay")
    func delayAfterSync() {
        var commits = SyncScheduleStateMachine()
        commits.recordCommit(isSynced: false, self.time(100))
        commits.recordCommit(isSynced: true, self.time(103))
        commits.recordCommit(isSynced: false, self.time(108))
        #expect(!commits.isDue(self.time(110), delay: self.delay))
        #expect(commits.deadline(after: self.delay) == self.time(118))
    }

    @Test("A failed sync is retried at the given time, or by the next transaction")
    func retryAfterFailure() {
        var commits = SyncScheduleStateMachine()
        commits.recordCommit(isSynced: false, self.time(100))
        commits.recordFailure(retryAt: self.time(1110))
        #expect(commits.deadline(after: self.delay) == self.time(1110))
        #expect(commits.isOverdue(self.time(111), delay: self.delay))
        #expect(!commits.isDue(self.time(1109), delay: self.delay))
        #expect(commits.isDue(self.time(1110), delay: self.delay))
    }

    @Test("After a failed sync, a later commit waits for its own delay and not for the retry")
    func commitAfterFailure() {
        var commits = SyncScheduleStateMachine()
        commits.recordCommit(isSynced: false, self.time(100))
        commits.recordFailure(retryAt: self.time(1110))
        commits.recordCommit(isSynced: true, self.time(150))
        commits.recordCommit(isSynced: false, self.time(200))
        #expect(commits.deadline(after: self.delay) == self.time(210))
        #expect(commits.isDue(self.time(210), delay: self.delay))
    }
}
