// SPDX-License-Identifier: Apache-2.0

import ConductorService
import NIOCore
import Testing

@Suite struct MemoryReleaseStateMachineTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000)

    @Test("Memory is released when half of the connections have ended")
    func releaseAfterDrop() {
        var release = MemoryReleaseStateMachine()
        #expect(release.record(connections: 5000, now: self.start) == false)
        #expect(release.record(connections: 2501, now: self.start) == false)
        #expect(release.record(connections: 2500, now: self.start) == true)
        // The count restarts from there.
        #expect(release.record(connections: 1300, now: self.start + .seconds(100)) == false)
        #expect(release.record(connections: 1250, now: self.start + .seconds(100)) == true)
    }

    @Test("Memory is not released when fewer than 500 connections have ended")
    func fewConnections() {
        var release = MemoryReleaseStateMachine()
        #expect(release.record(connections: 499, now: self.start) == false)
        #expect(release.record(connections: 0, now: self.start) == false)
        #expect(release.record(connections: 500, now: self.start) == false)
        #expect(release.record(connections: 0, now: self.start) == true)
    }

    @Test("While guests reconnect repeatedly, memory is released only every 30 seconds")
    func reconnectingGuests() {
        var release = MemoryReleaseStateMachine()
        var times = 0
        for second in 0..<300 {
            let now = self.start + .seconds(Int64(second))
            if release.record(connections: second.isMultiple(of: 2) ? 5000 : 0, now: now) { times += 1 }
        }
        #expect((9...11).contains(times))
        // A postponed release happens later, although the number of connections no longer changes.
        #expect(release.record(connections: 5000, now: self.start + .seconds(301)) == false)
        let later = (302...340).count { release.record(connections: 0, now: self.start + .seconds($0)) }
        #expect(later == 1)
    }
}
