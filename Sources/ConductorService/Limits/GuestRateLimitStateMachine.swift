// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// The rate limits of one guest, over all its connections. It reads no clock.
///
/// A request above the guest's rate is rejected, with the time after which it should be sent again. Each rejection
/// counts against a rate limit for rejections. Bytes are counted when they are read, and again when they are published,
/// because the message may be much longer than the report. Bytes above the rate are not rejected, but read later.
package struct GuestRateLimitStateMachine: Sendable {
    /// The rates of a guest.
    package struct Rates: Sendable {
        /// Requests a second, in the long run.
        package var requestsPerSecond = 100
        /// Requests at once, by a guest that has been idle.
        package var requestsBurst = 2000
        /// Bytes a second, in the long run: about what ``requestsPerSecond`` outcomes of the usual length need. One of
        /// them needs 2 KB, for reading and publishing together.
        package var bytesPerSecond = 256 << 10
        /// Bytes at once, by a guest that has been idle.
        package var bytesBurst = 4 << 20

        /// The defaults.
        package init() {}

        /// Returns a multiple of these rates. A rate that would overflow becomes `Int.max`.
        package func scaled(by factor: Int) -> Rates {
            func scale(_ number: Int) -> Int {
                let (product, isTooMuch) = number.multipliedReportingOverflow(by: factor)
                return isTooMuch ? .max : product
            }
            var scaled = self
            scaled.requestsPerSecond = scale(self.requestsPerSecond)
            scaled.requestsBurst = scale(self.requestsBurst)
            scaled.bytesPerSecond = scale(self.bytesPerSecond)
            scaled.bytesBurst = scale(self.bytesBurst)
            return scaled
        }
    }

    /// The number of rejections that must be available before a paused guest continues, so that it is not resumed for
    /// each.
    private static let minimumRejectionsToResume = 32.0

    private var requests: TokenBucket
    private var rejections: TokenBucket
    private var bytes: TokenBucket
    /// The time at which the last rejected request may be sent again.
    private var promised: NIODeadline

    /// Creates the limits of a guest that has been idle: all buckets are full.
    package init(_ rates: Rates, now: NIODeadline) {
        self.requests = TokenBucket(
            rate: Double(rates.requestsPerSecond), burst: Double(rates.requestsBurst), now: now)
        // Even with a low rate of requests, a guest must learn at once that its window exceeds the rate.
        self.rejections = TokenBucket(
            rate: Double(max(rates.requestsPerSecond, 100)), burst: Double(max(rates.requestsBurst, 1000)), now: now)
        self.bytes = TokenBucket(rate: Double(rates.bytesPerSecond), burst: Double(rates.bytesBurst), now: now)
        self.promised = now
    }

    /// Counts a request.
    ///
    /// - Returns: nil if the request is to be carried out; else the time that its sender is to wait. Requests that are
    ///   rejected one after the other get times one after the other, so that all of them are accepted if they are sent
    ///   again at the last of these times. No time is longer than the request bucket needs to fill up.
    package mutating func chargeRequest(now: NIODeadline) -> TimeAmount? {
        if self.requests.take(now: now) { return nil }
        self.rejections.spend(1, now: now)
        let next = now + self.requests.wait(for: 1, now: now)
        let latest = now + self.requests.wait(for: self.requests.burst, now: now)
        let afterTheLast = self.promised + .nanoseconds(Int64(min(1e9 / self.requests.rate, 1e18)))
        self.promised = max(next, min(afterTheLast, latest))
        return self.promised - now
    }

    /// Counts bytes that were read.
    package mutating func chargeReceived(bytes: Int, now: NIODeadline) { self.bytes.spend(bytes, now: now) }

    /// Counts the bytes of a message that was made for the broker.
    package mutating func chargePublished(bytes: Int, now: NIODeadline) { self.bytes.spend(bytes, now: now) }

    /// Returns the time for which no more of the guest's input is to be read or accepted; nil to continue.
    package func pause(now: NIODeadline) -> TimeAmount? {
        let forBytes = self.bytes.wait(for: 1, now: now)
        let forRejections =
            self.hasExhaustedRejections(now: now)
            ? self.rejections.wait(for: Self.minimumRejectionsToResume, now: now) : .zero
        let pause = max(forBytes, forRejections)
        return pause > .zero ? pause : nil
    }

    /// Whether the guest's rejections are used up.
    package func hasExhaustedRejections(now: NIODeadline) -> Bool { self.rejections.wait(for: 1, now: now) > .zero }

    /// Whether the buckets are as full as new ones, so that the guest can be forgotten.
    package func isFull(now: NIODeadline) -> Bool {
        self.requests.isFull(now: now) && self.rejections.isFull(now: now) && self.bytes.isFull(now: now)
            && self.promised <= now
    }
}
