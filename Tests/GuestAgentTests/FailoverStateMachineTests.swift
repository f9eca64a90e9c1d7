// SPDX-License-Identifier: Apache-2.0

import Testing
import Timing

@testable import GuestAgent

/// Tests of which conductor is next, and when.
@Suite struct FailoverStateMachineTests {
    private let now = ContinuousClock.now
    /// Creates a state machine whose pauses are half a second to two seconds.
    private func turns(_ count: Int) -> FailoverStateMachine {
        FailoverStateMachine(count: count, backoff: Backoff(minimum: .seconds(1), maximum: .seconds(2)))
    }

    private func pause(_ end: ContinuousClock.Instant?) -> Duration { end.map { self.now.duration(to: $0) } ?? .zero }

    @Test("The agent pauses only after it has failed to connect to each conductor")
    func pauseAfterRound() {
        var turns = self.turns(3)
        for (next, pauses) in [(1, false), (2, false), (0, true), (1, false)] {
            let pause = self.pause(turns.failed(now: self.now))
            #expect(turns.current == next && (pause >= .milliseconds(500)) == pauses && pause <= .seconds(2))
        }
        #expect(turns.failures == 4)
        turns.connected()
        #expect(turns.failures == 0 && turns.current == 1)
    }

    @Test("A useful conductor is tried again unless a change is wanted")
    func usefulConductor() {
        var turns = self.turns(2)
        for (isUseful, wantsChange, next) in [(true, false, 0), (false, false, 1), (true, false, 1), (true, true, 0)] {
            let pause = self.pause(turns.ended(isUseful: isUseful, wantsChange: wantsChange, now: self.now))
            #expect(turns.current == next && pause >= .milliseconds(500) && pause <= .seconds(2))
        }
    }

    @Test("A conductor that asked for a pause is skipped until the pause ends")
    func skipDuringPause() {
        var turns = self.turns(3)
        // The first asks for a pause, and the others are tried with no more than the usual pause.
        #expect(
            self.pause(turns.ended(isUseful: false, wantsChange: false, asked: .seconds(10), now: self.now))
                <= .seconds(2))
        #expect(turns.current == 1)
        _ = turns.failed(now: self.now)
        #expect(turns.current == 2)
        _ = turns.failed(now: self.now)
        #expect(turns.current == 1)
        // All have asked: the next one is the one that may be tried soonest.
        _ = turns.ended(isUseful: false, wantsChange: true, asked: .seconds(20), now: self.now)
        #expect(turns.current == 2)
        let end = turns.ended(isUseful: false, wantsChange: true, asked: .seconds(30), now: self.now)
        #expect(turns.current == 0 && self.pause(end) == .seconds(10))
        // It has not asked again.
        let later = self.now + .seconds(10)
        _ = turns.ended(isUseful: true, wantsChange: false, now: later)
        #expect(turns.current == 0)
    }

    @Test(
        "The pause that the only conductor asks for is kept, up to five minutes",
        arguments: [0, 10, 1_000_000] as [Int64])
    func onlyConductor(seconds: Int64) {
        var turns = self.turns(1)
        let end = turns.ended(isUseful: true, wantsChange: true, asked: .seconds(seconds), now: self.now)
        let pause = self.pause(end)
        #expect(turns.current == 0 && pause <= .seconds(300) && pause >= .seconds(min(seconds, 300)))
        #expect(seconds > 0 || pause <= .seconds(2))
    }
}
