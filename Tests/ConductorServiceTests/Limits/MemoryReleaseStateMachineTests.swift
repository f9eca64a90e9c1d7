// SPDX-License-Identifier: Apache-2.0

import ConductorService
import NIOCore
import Testing

@Suite struct MemoryReleaseStateMachineTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000)

    @Test func memoryIsReleasedWhenTheConnectionsHaveFallenFar() {
        var release = MemoryReleaseStateMachine()
        #expect(release.observed(connections: 5000, now: self.start) == false)
        #expect(release.observed(connections: 2501, now: self.start) == false)
        #expect(release.observed(connections: 2500, now: self.start) == true)
        // From there it begins again.
        #expect(release.observed(connections: 1300, now: self.start + .seconds(100)) == false)
        #expect(release.observed(connections: 1250, now: self.start + .seconds(100)) == true)
    }

    @Test func aFewThatLeaveAreNotWorthIt() {
        var release = MemoryReleaseStateMachine()
        #expect(release.observed(connections: 499, now: self.start) == false)
        #expect(release.observed(connections: 0, now: self.start) == false)
        #expect(release.observed(connections: 500, now: self.start) == false)
        #expect(release.observed(connections: 0, now: self.start) == true)
    }

    @Test func guestsThatComeAndGoDoNotHaveItReleasedAgainAndAgain() {
        var release = MemoryReleaseStateMachine()
        var times = 0
        for second in 0..<300 {
            let now = self.start + .seconds(Int64(second))
            if release.observed(connections: second.isMultiple(of: 2) ? 5000 : 0, now: now) { times += 1 }
        }
        #expect((9...11).contains(times))
        // What was put off is done later, though nothing changes any more.
        #expect(release.observed(connections: 5000, now: self.start + .seconds(301)) == false)
        let later = (302...340).count { release.observed(connections: 0, now: self.start + .seconds($0)) }
        #expect(later == 1)
    }
}
