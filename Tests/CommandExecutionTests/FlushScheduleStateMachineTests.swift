// SPDX-License-Identifier: Apache-2.0

import CommandExecution
import NIOConcurrencyHelpers
import Testing

@Suite("The turns of a flush", .timeLimit(.minutes(1)))
struct FlushScheduleStateMachineTests {
    private let start = ContinuousClock.now

    private func turns(_ count: Int, seconds: Int = 30, conductors: Int = 1) -> FlushScheduleStateMachine {
        FlushScheduleStateMachine(
            count: count, end: self.start + .seconds(seconds), conductors: conductors, connectTimeout: .seconds(10))
    }

    @Test("However many spools there are, a few are delivered at once, side by side, and each has its turn")
    func atOnce() async {
        let running = NIOLockedValueBox((now: 0, most: 0))
        let done = await FlushScheduleStateMachine.each(Array(0..<64)) { number in
            running.withLockedValue { running in
                running.now += 1
                running.most = max(running.most, running.now)
            }
            // Without another beside it, it would not end.
            while running.withLockedValue({ $0.most < FlushScheduleStateMachine.atOnce }) { await Task.yield() }
            for _ in 0..<100 { await Task.yield() }
            running.withLockedValue { $0.now -= 1 }
            return number
        }
        #expect(done.sorted() == Array(0..<64))
        #expect(running.withLockedValue { $0.most } == FlushScheduleStateMachine.atOnce)
        // Each has two queues of its own, and a connection.
        #expect(ThreadRequirements.threads(processors: 1) > 3 * FlushScheduleStateMachine.atOnce)
    }

    @Test("Spools that take all of their time leave the others as much, and none more than there is")
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
        // What the first do not need is the others'.
        var fast = self.turns(3 * FlushScheduleStateMachine.atOnce)
        let shares = (0..<3 * FlushScheduleStateMachine.atOnce).map { _ in fast.next(now: self.start).time }
        #expect(shares.first == .seconds(10) && shares.last == .seconds(30))
    }

    @Test("Turns begin at each conductor in turn until one takes outcomes, and then at that one for as long as it does")
    func conductors() {
        var turns = self.turns(64, conductors: 3)
        func next() -> FlushScheduleStateMachine.Turn { turns.next(now: self.start) }
        let first = next()
        #expect(first.conductor == 0 && next().conductor == 1)
        // What another has not delivered meanwhile says nothing of this one.
        turns.delivered(to: 1)
        turns.failed(first)
        let second = next()
        #expect(second.conductor == 1 && next().conductor == 1)
        turns.failed(second)
        #expect([next(), next(), next(), next()].map(\.conductor) == [2, 0, 1, 2])
        // Of two that were delivered at once, the second does not pass over a conductor.
        turns.failed(second)
        #expect(next().conductor == 0)
        turns.delivered(to: 2)
        #expect([next(), next()].map(\.conductor) == [2, 2])
    }

    @Test("A turn tries all conductors, from its own on")
    func order() {
        var turns = self.turns(8, conductors: 3)
        let orders = (0..<4).map { _ in turns.next(now: self.start).order(of: ["a", "b", "c"]) }
        #expect(orders == [["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"], ["a", "b", "c"]])
        var one = self.turns(2)
        #expect((0..<2).map { _ in one.next(now: self.start).order(of: ["a"]) } == [["a"], ["a"]])
    }

    @Test("A turn has time for an attempt at each conductor, unless it is very short")
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
