// SPDX-License-Identifier: Apache-2.0

import Testing
import Timing

@testable import GuestAgent

/// Tests of which conductor is next, and when.
@Suite struct FailoverStateMachineTests {
    private let now = ContinuousClock.now
    /// Creates a state machine whose pauses are half a second to two seconds.
    private func failover(_ count: Int) -> FailoverStateMachine {
        FailoverStateMachine(count: count, backoff: Backoff(minimum: .seconds(1), maximum: .seconds(2)))
    }

    private func pause(_ end: ContinuousClock.Instant?) -> Duration { end.map { self.now.duration(to: $0) } ?? .zero }

    @Test("The agent pauses only after it has failed to connect to each conductor")
    func pauseAfterRound() {
        var failover = self.failover(3)
        for (next, pauses) in [(1, false), (2, false), (0, true), (1, false)] {
            let pause = self.pause(failover.recordConnectFailure(now: self.now))
            #expect(failover.current == next && (pause >= .milliseconds(500)) == pauses && pause <= .seconds(2))
        }
        #expect(failover.failures == 4)
        failover.recordConnected()
        #expect(failover.failures == 0 && failover.current == 1)
    }

    @Test("A useful conductor is tried again unless a change is wanted")
    func usefulConductor() {
        var failover = self.failover(2)
        for (hasDelivered, wantsChange, next) in [
            (true, false, 0), (false, false, 1), (true, false, 1), (true, true, 0),
        ] {
            let pause = self.pause(
                failover.recordConnectionEnd(hasDelivered: hasDelivered, wantsChange: wantsChange, now: self.now))
            #expect(failover.current == next && pause >= .milliseconds(500) && pause <= .seconds(2))
        }
    }

    @Test("A conductor that asked for a pause is skipped until the pause ends")
    func skipDuringPause() {
        var failover = self.failover(3)
        // The first asks for a pause, and the others are tried with no more than the usual pause.
        #expect(
            self.pause(
                failover.recordConnectionEnd(
                    hasDelivered: false, wantsChange: false, requestedPause: .seconds(10), now: self.now))
                <= .seconds(2))
        #expect(failover.current == 1)
        _ = failover.recordConnectFailure(now: self.now)
        #expect(failover.current == 2)
        _ = failover.recordConnectFailure(now: self.now)
        #expect(failover.current == 1)
        // All have asked: the next one is the one that may be tried soonest.
        _ = failover.recordConnectionEnd(
            hasDelivered: false, wantsChange: true, requestedPause: .seconds(20), now: self.now)
        #expect(failover.current == 2)
        let end = failover.recordConnectionEnd(
            hasDelivered: false, wantsChange: true, requestedPause: .seconds(30), now: self.now)
        #expect(failover.current == 0 && self.pause(end) == .seconds(10))
        // It has not asked again.
        let later = self.now + .seconds(10)
        _ = failover.recordConnectionEnd(hasDelivered: true, wantsChange: false, now: later)
        #expect(failover.current == 0)
    }

    @Test(
        "The pause that the only conductor asks for is kept, up to five minutes",
        arguments: [0, 10, 1_000_000] as [Int64])
    func onlyConductor(seconds: Int64) {
        var failover = self.failover(1)
        let end = failover.recordConnectionEnd(
            hasDelivered: true, wantsChange: true, requestedPause: .seconds(seconds), now: self.now)
        let pause = self.pause(end)
        #expect(failover.current == 0 && pause <= .seconds(300) && pause >= .seconds(min(seconds, 300)))
        #expect(seconds > 0 || pause <= .seconds(2))
    }
}
