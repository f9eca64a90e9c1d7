// SPDX-License-Identifier: Apache-2.0

import ConductorService
import NIOCore
import RandomTesting
import Testing

@Suite struct TokenBucketTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)

    @Test("A bucket allows a burst, and then its rate")
    func burstThenRate() {
        var bucket = TokenBucket(rate: 10, burst: 3, now: self.start)
        for _ in 1...3 { #expect(self.take(&bucket, self.start)) }
        #expect(!self.take(&bucket, self.start))
        #expect(bucket.wait(for: 1, now: self.start) == .milliseconds(100))
        #expect(!self.take(&bucket, self.start + .milliseconds(99)))
        #expect(self.take(&bucket, self.start + .milliseconds(100)))
        #expect(!bucket.isFull(now: self.start + .milliseconds(399)))
        #expect(bucket.isFull(now: self.start + .milliseconds(401)))
    }

    @Test("A debt is refilled before the next token is available")
    func debt() {
        var bucket = TokenBucket(rate: 1000, burst: 100, now: self.start)
        bucket.spend(600, now: self.start)
        #expect(bucket.wait(for: 1, now: self.start) == .milliseconds(501))
        #expect(!self.take(&bucket, self.start + .milliseconds(500)))
        #expect(self.take(&bucket, self.start + .milliseconds(501)))
    }

    @Test("A time before the last one neither adds nor removes tokens")
    func earlierTime() {
        var bucket = TokenBucket(rate: 10, burst: 1, now: self.start)
        #expect(self.take(&bucket, self.start + .seconds(1)))
        #expect(!self.take(&bucket, self.start))
        #expect(!self.take(&bucket, self.start + .milliseconds(1099)))
        #expect(self.take(&bucket, self.start + .milliseconds(1100)))
    }

    /// For any sequence of times, no interval has more than its burst and the tokens that were refilled meanwhile; and
    /// a caller that waits for the given time gets its token.
    @Test("No interval has more tokens than the burst and the rate allow", arguments: 0..<100 as Range<UInt64>)
    func boundedRate(seed: UInt64) {
        var random = Seeded(seed)
        let rates: [Double] = [0.5, 1, 7, 100, 2000, 1_000_000]
        let rate = rates.randomElement(using: &random) ?? 1
        let burst = [1, 2, 10, 1000].randomElement(using: &random) ?? 1
        var bucket = TokenBucket(rate: rate, burst: Double(burst), now: self.start)
        var now = self.start
        var taken: [NIODeadline] = []
        for _ in 0..<2000 {
            if random.chance(30) { now = now + .nanoseconds(Int64.random(in: 0...Int64(3e9 / rate), using: &random)) }
            if random.chance(5) { now = now + .nanoseconds(Int64(Double(burst) * 1e9 / rate)) }
            if self.take(&bucket, now) {
                taken.append(now)
            } else if random.chance(20) {
                now = now + bucket.wait(for: 1, now: now) + .nanoseconds(1)
                #expect(self.take(&bucket, now))
                taken.append(now)
            }
        }
        for first in stride(from: 0, to: taken.count, by: 97) {
            for last in stride(from: first, to: taken.count, by: 31) {
                let seconds = Double((taken[last] - taken[first]).nanoseconds) / 1e9
                let most = Double(burst) + seconds * rate + 0.001
                #expect(Double(last - first + 1) <= most)
            }
        }
    }

    private func take(_ bucket: inout TokenBucket, _ now: NIODeadline) -> Bool { bucket.take(now: now) }
}
