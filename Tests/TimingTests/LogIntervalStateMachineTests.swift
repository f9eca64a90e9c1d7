// SPDX-License-Identifier: Apache-2.0

import Testing
import Timing

@Suite struct LogIntervalStateMachineTests {
    @Test("The first time is logged at once, and later ones at most once an interval, with their number")
    func oncePerInterval() {
        var log = LogIntervalStateMachine<Int>()
        func record(_ now: Int) -> Int? { log.record(now: now, quietUntil: now + 60) }
        #expect(record(7) == 1)
        for now in 8..<67 { #expect(record(now) == nil) }
        #expect(log.unlogged == 59)
        #expect(record(67) == 60)
        #expect(log.quietUntil == 127)
        #expect(record(300) == 1)
    }

    @Test("A count that is reset is in no line, and the interval continues")
    func reset() {
        var log = LogIntervalStateMachine<Int>()
        #expect(log.record(now: 0, quietUntil: 60) == 1)
        log.record()
        log.resetCount()
        #expect(!log.mayLog(now: 59))
        #expect(log.mayLog(now: 60))
        #expect(log.record(now: 60, quietUntil: 120) == 1)
    }
}
