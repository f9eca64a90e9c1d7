// SPDX-License-Identifier: Apache-2.0

import ConductorService
import NIOCore
import RandomTesting
import Testing

@Suite struct GuestRateLimitStateMachineTests {
    private let start = NIODeadline.uptimeNanoseconds(5_000_000_000)

    private func rates(_ perSecond: Int, burst: Int) -> GuestRateLimitStateMachine.Rates {
        var rates = GuestRateLimitStateMachine.Rates()
        rates.requestsPerSecond = perSecond
        rates.requestsBurst = burst
        return rates
    }

    /// Returns the time that each of several simultaneous requests has to wait; nil for those that are served.
    private func ask(_ budget: inout GuestRateLimitStateMachine, _ count: Int, _ now: NIODeadline) -> [TimeAmount?] {
        (0..<count).map { _ in budget.chargeRequest(now: now) }
    }

    @Test("Requests that are rejected together are answered with successive times to retry after")
    func successiveRetryTimes() {
        var budget = GuestRateLimitStateMachine(self.rates(100, burst: 5), now: self.start)
        let answers = self.ask(&budget, 9, self.start)
        #expect(answers.prefix(5).allSatisfy { $0 == nil })
        #expect(answers.suffix(4) == [.milliseconds(10), .milliseconds(20), .milliseconds(30), .milliseconds(40)])
        // No time is longer than until the whole burst is available again.
        let more = self.ask(&budget, 3, self.start)
        #expect(more == [.milliseconds(50), .milliseconds(50), .milliseconds(50)])
    }

    /// A guest whose window fits into the burst, and that resends the rejected requests when the last of them may be
    /// sent, is not rejected twice. This holds whatever the rates are and however its requests arrive.
    @Test("A guest that waits for its time to retry is served", arguments: 0..<200 as Range<UInt64>)
    func obedientGuest(seed: UInt64) {
        var random = Seeded(seed)
        let perSecond = [1, 3, 50, 2000, 100_000].randomElement(using: &random) ?? 1
        let burst = Int.random(in: 1...300, using: &random)
        var budget = GuestRateLimitStateMachine(self.rates(perSecond, burst: burst), now: self.start)
        var now = self.start
        for _ in 0..<50 {
            // Some tokens may be left, or none.
            _ = self.ask(&budget, Int.random(in: 0...burst, using: &random), now)
            let refused = self.ask(&budget, Int.random(in: 1...burst, using: &random), now).compactMap(\.self)
            now = now + (refused.max() ?? .zero) + .milliseconds(1)
            let again = self.ask(&budget, refused.count, now)
            #expect(again.allSatisfy { $0 == nil }, "\(perSecond)/s, burst \(burst), \(refused.count) refused")
            if random.chance(30) { now = now + .milliseconds(Int64.random(in: 0...3000, using: &random)) }
        }
    }

    @Test("A guest that ignores its times to retry is paused after a thousand rejections")
    func disobedientGuest() throws {
        var budget = GuestRateLimitStateMachine(self.rates(100, burst: 10), now: self.start)
        #expect(budget.pause(now: self.start) == nil)
        var refused = 0
        while budget.pause(now: self.start) == nil, refused < 100_000 {
            if budget.chargeRequest(now: self.start) != nil { refused += 1 }
        }
        // Rejections are limited too.
        #expect(refused == 1000)
        let pause = try #require(budget.pause(now: self.start))
        #expect(budget.pause(now: self.start + pause) == nil)
        // When its input is read again, a request is admitted again.
        #expect(budget.chargeRequest(now: self.start + pause) == nil)
    }

    @Test("A guest beyond its rate of bytes is paused")
    func byteRate() throws {
        var rates = GuestRateLimitStateMachine.Rates()
        rates.bytesPerSecond = 1000
        rates.bytesBurst = 5000
        var budget = GuestRateLimitStateMachine(rates, now: self.start)
        budget.chargeReceived(bytes: 4999, now: self.start)
        #expect(budget.pause(now: self.start) == nil)
        // One read can have more bytes than the bucket has tokens.
        budget.chargeReceived(bytes: 2001, now: self.start)
        let pause = try #require(budget.pause(now: self.start))
        #expect(pause >= .milliseconds(2001) && pause < .milliseconds(2002))
        #expect(budget.pause(now: self.start + pause) == nil)
    }

    @Test("A rate limit is as good as new once all its tokens are refilled")
    func refilledLimit() {
        var budget = GuestRateLimitStateMachine(GuestRateLimitStateMachine.Rates(), now: self.start)
        #expect(budget.isFull(now: self.start))
        for _ in 1...10 { _ = budget.chargeRequest(now: self.start) }
        budget.chargeReceived(bytes: 128 << 10, now: self.start)
        #expect(!budget.isFull(now: self.start))
        #expect(budget.isFull(now: self.start + .seconds(1)))
        budget.chargePublished(bytes: 512 << 10, now: self.start + .seconds(1))
        #expect(!budget.isFull(now: self.start + .seconds(2)))
        #expect(budget.isFull(now: self.start + .seconds(3)))
    }

    /// One guest cannot delay the others: a message that is published counts like the bytes that are read, and a guest
    /// in debt is not read.
    @Test("Published bytes pause a guest as the bytes that are read do")
    func publishedBytes() {
        var rates = GuestRateLimitStateMachine.Rates()
        (rates.bytesPerSecond, rates.bytesBurst) = (1000, 5000)
        var budget = GuestRateLimitStateMachine(rates, now: self.start)
        budget.chargeReceived(bytes: 1000, now: self.start)
        #expect(budget.pause(now: self.start) == nil)
        budget.chargePublished(bytes: 11_000, now: self.start)
        #expect(budget.pause(now: self.start) == .nanoseconds(7_001_000_000))
        #expect(budget.pause(now: self.start + .milliseconds(7001)) == nil)
    }

    /// The purpose of the defaults: after an outage, a spool of ten thousand outcomes is delivered in a minute and a
    /// half.
    @Test("At the default rates, a backlog of 10 000 outcomes is delivered within 100 seconds")
    func backlogAtDefaultRates() {
        var budget = GuestRateLimitStateMachine(GuestRateLimitStateMachine.Rates(), now: self.start)
        var now = self.start
        var delivered = 0
        while delivered < 10_000 {
            let answers = self.ask(&budget, 128, now)
            delivered += answers.count { $0 == nil }
            // Typical sizes of lines and messages.
            budget.chargeReceived(bytes: 128 * 700, now: now)
            budget.chargePublished(bytes: answers.count { $0 == nil } * 1310, now: now)
            let wait = answers.compactMap(\.self).max()
            // The agent's shortest pause.
            now = now + (wait.map { max($0, .milliseconds(200)) } ?? .milliseconds(10))
            now = now + (budget.pause(now: now) ?? .zero)
        }
        #expect(now - self.start < .seconds(100))
    }
}
