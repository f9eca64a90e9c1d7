// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import GuestAgent

/// Which conductor is next, and when.
@Suite struct FailoverStateMachineTests {
    private let now = ContinuousClock.now
    /// A pause is half a second to two.
    private func turns(_ count: Int) -> FailoverStateMachine {
        FailoverStateMachine(count: count, backoff: Backoff(minimum: .seconds(1), maximum: .seconds(2)))
    }

    private func pause(_ end: ContinuousClock.Instant?) -> Duration { end.map { self.now.duration(to: $0) } ?? .zero }

    @Test func aRoundOfFailuresIsOneAttempt() {
        var turns = self.turns(3)
        for (next, pauses) in [(1, false), (2, false), (0, true), (1, false)] {
            let pause = self.pause(turns.failed(now: self.now))
            #expect(turns.current == next && (pause >= .milliseconds(500)) == pauses && pause <= .seconds(2))
        }
        #expect(turns.failures == 4)
        turns.connected()
        #expect(turns.failures == 0 && turns.current == 1)
    }

    @Test func whoWasUsefulIsComeBackTo() {
        var turns = self.turns(2)
        for (isUseful, wantsChange, next) in [(true, false, 0), (false, false, 1), (true, false, 1), (true, true, 0)] {
            let pause = self.pause(turns.ended(isUseful: isUseful, wantsChange: wantsChange, now: self.now))
            #expect(turns.current == next && pause >= .milliseconds(500) && pause <= .seconds(2))
        }
    }

    @Test func whoAskedForTimeIsPassedOverUntilThen() {
        var turns = self.turns(3)
        // The first asks, and the others are tried with no more than the usual pause.
        #expect(
            self.pause(turns.ended(isUseful: false, wantsChange: false, asked: .seconds(10), now: self.now))
                <= .seconds(2))
        #expect(turns.current == 1)
        _ = turns.failed(now: self.now)
        #expect(turns.current == 2)
        _ = turns.failed(now: self.now)
        #expect(turns.current == 1)
        // All asked: the one that may be tried soonest.
        _ = turns.ended(isUseful: false, wantsChange: true, asked: .seconds(20), now: self.now)
        #expect(turns.current == 2)
        let end = turns.ended(isUseful: false, wantsChange: true, asked: .seconds(30), now: self.now)
        #expect(turns.current == 0 && self.pause(end) == .seconds(10))
        // It did not ask again.
        let later = self.now + .seconds(10)
        _ = turns.ended(isUseful: true, wantsChange: false, now: later)
        #expect(turns.current == 0)
    }

    @Test(arguments: [0, 10, 1_000_000] as [Int64])
    func theOnlyOneIsWaitedForAndForFiveMinutesAtMost(seconds: Int64) {
        var turns = self.turns(1)
        let end = turns.ended(isUseful: true, wantsChange: true, asked: .seconds(seconds), now: self.now)
        let pause = self.pause(end)
        #expect(turns.current == 0 && pause <= .seconds(300) && pause >= .seconds(min(seconds, 300)))
        #expect(seconds > 0 || pause <= .seconds(2))
    }
}
