// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Testing

@testable import GuestSpool

@Suite struct SyncScheduleStateMachineTests {
    private func time(_ milliseconds: UInt64) -> DispatchTime { .init(uptimeNanoseconds: milliseconds * 1_000_000) }
    private let delay = DispatchTimeInterval.milliseconds(10)

    @Test func whatIsCommittedIsDueAfterTheDelayAndOneTimeIsSet() {
        var commits = SyncScheduleStateMachine()
        #expect(commits.isEmpty && commits.timeToSet(after: self.delay) == nil)
        commits.committed(isSynced: false, self.time(100))
        #expect(!commits.isEmpty)
        #expect(commits.timeToSet(after: self.delay) == self.time(110))
        // A later one goes along with it.
        commits.committed(isSynced: false, self.time(105))
        #expect(commits.timeToSet(after: self.delay) == nil)
        #expect(commits.timeCame(self.time(110), delay: self.delay) == true)
        commits.committed(isSynced: true, self.time(111))
        #expect(commits.isEmpty && commits.timeToSet(after: self.delay) == nil)
    }

    @Test func whatAnOutcomeTookAlongIsNotSyncedAgainForAYoungerOne() {
        var commits = SyncScheduleStateMachine()
        commits.committed(isSynced: false, self.time(100))
        #expect(commits.timeToSet(after: self.delay) == self.time(110))
        commits.committed(isSynced: true, self.time(103))
        commits.committed(isSynced: false, self.time(108))
        #expect(commits.timeCame(self.time(110), delay: self.delay) == false)
        // The younger one has its own.
        #expect(commits.timeToSet(after: self.delay) == self.time(118))
        #expect(commits.timeCame(self.time(118), delay: self.delay) == true)
    }

    @Test func whatTheDiskRefusedIsTriedNotBeforeItIsToldTo() {
        var commits = SyncScheduleStateMachine()
        commits.committed(isSynced: false, self.time(100))
        #expect(commits.timeToSet(after: self.delay) == self.time(110))
        #expect(commits.timeCame(self.time(110), delay: self.delay) == true)
        #expect(commits.timeToSet(after: self.delay, earliest: self.time(1110)) == self.time(1110))
        #expect(commits.timeCame(self.time(1110), delay: self.delay) == true)
    }
}
