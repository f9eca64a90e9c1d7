import CommandExecution
import NIOConcurrencyHelpers
import Testing

@Suite("The turns of a flush")
struct FlushTurnsTests {
    @Test("However many spools there are, a few are delivered at once, and each has its turn")
    func atOnce() async {
        let running = NIOLockedValueBox((now: 0, most: 0))
        let done = await FlushTurns.each(Array(0..<64)) { number in
            running.withLockedValue { running in
                running.now += 1
                running.most = max(running.most, running.now)
            }
            for _ in 0..<100 { await Task.yield() }
            running.withLockedValue { $0.now -= 1 }
            return number
        }
        #expect(done.sorted() == Array(0..<64))
        #expect(running.withLockedValue { $0.most } <= FlushTurns.atOnce)
        // Each has two queues of its own, and a connection.
        #expect(ThreadDemand.threads(processors: 1) > 3 * FlushTurns.atOnce)
    }

    @Test("Spools that take all of their time leave the others as much, and none more than there is")
    func time() {
        let start = ContinuousClock.now
        var few = FlushTurns(count: FlushTurns.atOnce, end: start + .seconds(30))
        for _ in 0..<FlushTurns.atOnce { #expect(few.next(now: start) == .seconds(30)) }
        #expect(few.next(now: start + .seconds(31)) == .zero)
        var many = FlushTurns(count: 3 * FlushTurns.atOnce, end: start + .seconds(30))
        for turn in 0..<3 {
            for _ in 0..<FlushTurns.atOnce {
                #expect(many.next(now: start + .seconds(10 * turn)) == .seconds(10))
            }
        }
        // What the first do not need is the others'.
        var fast = FlushTurns(count: 3 * FlushTurns.atOnce, end: start + .seconds(30))
        let shares = (0..<3 * FlushTurns.atOnce).map { _ in fast.next(now: start) }
        #expect(shares.first == .seconds(10) && shares.last == .seconds(30))
    }
}
