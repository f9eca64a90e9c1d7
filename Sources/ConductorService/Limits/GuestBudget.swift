package import NIOCore

/// What one guest may send, over all its connections. It holds no clock.
///
/// A request past the guest's rate is refused, with the time when there will be room for it. That costs a refusal, and refusals have
/// a rate of their own. Bytes are counted as they are read, and once more as they are published, when they may have become many more;
/// what is too much is not read yet.
package struct GuestBudget: Sendable {
    /// How much a guest may send.
    package struct Rates: Sendable {
        /// Requests a second, in the long run.
        package var requestsPerSecond = 100
        /// Requests at once, by a guest that has been quiet.
        package var requestsBurst = 2000
        /// Bytes a second, in the long run: about what as many outcomes of the usual length take, which is 2 KB each, read and
        /// published.
        package var bytesPerSecond = 256 << 10
        /// Bytes at once, by a guest that has been quiet.
        package var bytesBurst = 4 << 20

        /// The defaults.
        package init() {}

        /// So many times as much.
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

    /// A guest that is paused goes on when there is room for so many refusals: not to be woken for each.
    private static let refusalsAtOnce = 32.0

    private var requests: TokenBucket
    private var refusals: TokenBucket
    private var bytes: TokenBucket
    /// When the last request that was refused was promised its place.
    private var promised: NIODeadline

    /// The budget of a guest that has been quiet.
    package init(_ rates: Rates, now: NIODeadline) {
        self.requests = TokenBucket(
            rate: Double(rates.requestsPerSecond), burst: Double(rates.requestsBurst), now: now)
        // A small share of requests must not keep a guest from hearing at once that its window does not fit into it.
        self.refusals = TokenBucket(
            rate: Double(max(rates.requestsPerSecond, 100)), burst: Double(max(rates.requestsBurst, 1000)), now: now)
        self.bytes = TokenBucket(rate: Double(rates.bytesPerSecond), burst: Double(rates.bytesBurst), now: now)
        self.promised = now
    }

    /// A request came.
    ///
    /// - Returns: nil when it is to be carried out; else how long its sender is to wait. Requests that are refused one
    ///   after the other get times one after the other, so that all of them are served if they come again when the
    ///   last of them may. None is longer than until everything that was spent is there again.
    package mutating func request(now: NIODeadline) -> TimeAmount? {
        if self.requests.take(now: now) { return nil }
        self.refusals.spend(1, now: now)
        let next = now + self.requests.wait(for: 1, now: now)
        let latest = now + self.requests.wait(for: self.requests.burst, now: now)
        let afterTheLast = self.promised + .nanoseconds(Int64(min(1e9 / self.requests.rate, 1e18)))
        self.promised = max(next, min(afterTheLast, latest))
        return self.promised - now
    }

    /// So many bytes were read.
    package mutating func received(bytes: Int, now: NIODeadline) { self.bytes.spend(bytes, now: now) }

    /// A message of so many bytes was made for the broker.
    package mutating func published(bytes: Int, now: NIODeadline) { self.bytes.spend(bytes, now: now) }

    /// For how long nothing more of the guest's is to be read or taken; nil to go on.
    package func pause(now: NIODeadline) -> TimeAmount? {
        let forBytes = self.bytes.wait(for: 1, now: now)
        let forRefusals =
            self.hasNoRefusalLeft(now: now)
            ? self.refusals.wait(for: Self.refusalsAtOnce, now: now) : .zero
        let pause = max(forBytes, forRefusals)
        return pause > .zero ? pause : nil
    }

    /// Whether its refusals are used up.
    package func hasNoRefusalLeft(now: NIODeadline) -> Bool { self.refusals.wait(for: 1, now: now) > .zero }

    /// Whether it is as good as a new one, and can be forgotten.
    package func isUntouched(now: NIODeadline) -> Bool {
        self.requests.isFull(now: now) && self.refusals.isFull(now: now) && self.bytes.isFull(now: now)
            && self.promised <= now
    }
}
