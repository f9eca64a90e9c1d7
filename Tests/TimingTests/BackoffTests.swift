// SPDX-License-Identifier: Apache-2.0

import RandomTesting
import Testing
import Timing

@Suite struct BackoffTests {
    /// Returns the next delays of many backoffs after this many attempts.
    private func delays(after attempts: Int, _ jitter: Backoff.Jitter) -> [Duration] {
        var generator = Seeded(7)
        return (0..<2000).map { _ in
            var backoff = Backoff(minimum: .seconds(1), maximum: .seconds(8), jitter: jitter)
            for _ in 0..<attempts { _ = backoff.next(using: &generator) }
            return backoff.next(using: &generator)
        }
    }

    @Test(
        "Delays are random, up to a bound that doubles until it reaches the maximum",
        arguments: [(0, 1), (1, 2), (2, 4), (3, 8), (4, 8), (100, 8)])
    func fullJitter(attempts: Int, bound: Int) throws {
        for (jitter, shortest) in [(Backoff.Jitter.full, 0), (.fullWithFloor, 500)] {
            let delays = self.delays(after: attempts, jitter)
            let (low, high) = (try #require(delays.min()), try #require(delays.max()))
            #expect(low >= .milliseconds(shortest))
            #expect(low <= .milliseconds(max(shortest, 100 * bound)))
            #expect(high <= .seconds(bound))
            #expect(high > .milliseconds(900 * bound))
        }
    }

    @Test("Without jitter, delays double until they reach the maximum")
    func noJitter() {
        var backoff = Backoff(minimum: .milliseconds(20), maximum: .milliseconds(100), jitter: .none)
        #expect((0..<5).map { _ in backoff.next() } == [20, 40, 80, 100, 100].map { .milliseconds($0) })
    }

    @Test("A reset starts the backoff again at its minimum")
    func reset() {
        var backoff = Backoff(minimum: .seconds(1), maximum: .seconds(8))
        for _ in 0..<10 { _ = backoff.next() }
        backoff.reset()
        #expect(backoff.next() <= .seconds(1))
    }

    @Test("A maximum below the minimum counts as the minimum")
    func maximumBelowMinimum() {
        var backoff = Backoff(minimum: .seconds(2), maximum: .seconds(1), jitter: .none)
        #expect((0..<3).map { _ in backoff.next() } == [.seconds(2), .seconds(2), .seconds(2)])
    }
}
