// SPDX-License-Identifier: Apache-2.0

import CommandExecution
import NIOConcurrencyHelpers
import Testing

@Suite("FlushScheduleStateMachine", .timeLimit(.minutes(1)))
struct FlushScheduleStateMachineTests {
    private let start = ContinuousClock.now

    private func turns(_ count: Int, seconds: Int = 30, conductors: Int = 1) -> FlushScheduleStateMachine {
        FlushScheduleStateMachine(
            count: count, end: self.start + .seconds(seconds), conductors: conductors, connectTimeout: .seconds(10))
    }

    @Test("A fixed number of spools is delivered at once, and every spool gets its turn")
    func atOnce() async {
        let running = NIOLockedValueBox((now: 0, most: 0))
        let done = await FlushScheduleStateMachine.each(Array(0..<64)) { number in
            running.withLockedValue { running in
                running.now += 1
                running.most = max(running.most, running.now)
            }
            // Waits until as many run at once; a schedule without concurrency would not end.
            while running.withLockedValue({ $0.most < FlushScheduleStateMachine.atOnce }) { await Task.yield() }
            for _ in 0..<100 { await Task.yield() }
            running.withLockedValue { $0.now -= 1 }
            return number
        }
        #expect(done.sorted() == Array(0..<64))
        #expect(running.withLockedValue { $0.most } == FlushScheduleStateMachine.atOnce)
        // Each spool has two queues of its own, and a connection.
        #expect(ThreadRequirements.threads(processors: 1) > 3 * FlushScheduleStateMachine.atOnce)
    }

    @Test("Each turn gets an equal share of the remaining time")
    func time() {
        var few = self.turns(FlushScheduleStateMachine.atOnce)
        for _ in 0..<FlushScheduleStateMachine.atOnce { #expect(few.next(now: self.start).time == .seconds(30)) }
        #expect(few.next(now: self.start + .seconds(31)).time == .zero)
        var many = self.turns(3 * FlushScheduleStateMachine.atOnce)
        for turn in 0..<3 {
            for _ in 0..<FlushScheduleStateMachine.atOnce {
                #expect(many.next(now: self.start + .seconds(10 * turn)).time == .seconds(10))
            }
        }
        // Later turns get the time that the first ones do not need.
        var fast = self.turns(3 * FlushScheduleStateMachine.atOnce)
        let shares = (0..<3 * FlushScheduleStateMachine.atOnce).map { _ in fast.next(now: self.start).time }
        #expect(shares.first == .seconds(10) && shares.last == .seconds(30))
    }

    @Test("Turns rotate over the conductors, and stay at one while it accepts outcomes")
    func conductors() {
        var turns = self.turns(64, conductors: 3)
        func next() -> FlushScheduleStateMachine.Turn { turns.next(now: self.start) }
        let first = next()
        #expect(first.conductor == 0 && next().conductor == 1)
        // A failure at another conductor in the meantime says nothing about this one.
        turns.delivered(to: 1)
        turns.failed(first)
        let second = next()
        #expect(second.conductor == 1 && next().conductor == 1)
        turns.failed(second)
        #expect([next(), next(), next(), next()].map(\.conductor) == [2, 0, 1, 2])
        // If two turns that ran at once fail, the second failure does not skip a conductor.
        turns.failed(second)
        #expect(next().conductor == 0)
        turns.delivered(to: 2)
        #expect([next(), next()].map(\.conductor) == [2, 2])
    }

    @Test("A turn tries all conductors, beginning with its own")
    func order() {
        var turns = self.turns(8, conductors: 3)
        let orders = (0..<4).map { _ in turns.next(now: self.start).order(of: ["a", "b", "c"]) }
        #expect(orders == [["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"], ["a", "b", "c"]])
        var one = self.turns(2)
        #expect((0..<2).map { _ in one.next(now: self.start).order(of: ["a"]) } == [["a"], ["a"]])
    }

    @Test("The connect timeout leaves time for each conductor, but has a minimum")
    func connectTimeout() {
        func timeout(_ spools: Int, seconds: Int, conductors: Int) -> Duration {
            var turns = self.turns(spools, seconds: seconds, conductors: conductors)
            return turns.next(now: self.start).connectTimeout
        }
        #expect(timeout(1, seconds: 30, conductors: 1) == .seconds(10))
        #expect(timeout(1, seconds: 30, conductors: 2) == .seconds(10))
        #expect(timeout(3 * FlushScheduleStateMachine.atOnce, seconds: 30, conductors: 2) == .seconds(5))
        #expect(timeout(64, seconds: 30, conductors: 2) == FlushScheduleStateMachine.shortestConnectTimeout)
        #expect(timeout(1, seconds: 0, conductors: 2) == FlushScheduleStateMachine.shortestConnectTimeout)
        var turns = FlushScheduleStateMachine(
            count: 1, end: self.start, conductors: 2, connectTimeout: .milliseconds(100))
        #expect(turns.next(now: self.start).connectTimeout == .milliseconds(100))
    }
}
