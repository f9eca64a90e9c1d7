package import ConductorRPC
package import NIOCore

/// How often each address may connect. It holds no clock.
///
/// A handshake is what a stranger can make the conductor work for, with nothing but a socket: its address is all that is known
/// of it.
package struct AddressBudgets: Sendable {
    /// How often an address may connect.
    package struct Rates: Sendable {
        /// New connections a second, in the long run.
        package var perSecond = 20
        /// New connections at once, from an address that has been quiet.
        package var burst = 100

        /// The defaults.
        package init() {}
    }

    private let rates: Rates
    private let capacity: Int
    /// How long an empty bucket takes to fill.
    private let period: TimeAmount
    /// The buckets of those who have come in this period, and of those who came last in the one before. Who did not come for a
    /// whole period has a full bucket, and need not be remembered.
    private var recent: [NetworkAddress: TokenBucket] = [:]
    private var earlier: [NetworkAddress: TokenBucket] = [:]
    private var periodEnd: NIODeadline?

    /// - Parameters:
    ///   - rates: of each address.
    ///   - capacity: how many addresses are remembered of each of two periods. Others are let in: to keep out whoever comes last would
    ///     be what somebody with so many addresses wants.
    package init(_ rates: Rates, capacity: Int = 65_536) {
        self.rates = rates
        self.capacity = capacity
        let seconds = Double(rates.burst) / Double(max(rates.perSecond, 1))
        self.period = .nanoseconds(Int64(min(max(seconds, 1), 1e9) * 1e9))
    }

    /// How many addresses are remembered.
    package var count: Int { self.recent.count + self.earlier.count }

    /// An address connects.
    ///
    /// - Returns: whether it may.
    package mutating func take(_ address: NetworkAddress, now: NIODeadline) -> Bool {
        self.forget(now: now)
        guard self.recent[address] != nil || self.recent.count < self.capacity else {
            return self.earlier[address]?.take(now: now) ?? true
        }
        var bucket =
            self.recent[address] ?? self.earlier.removeValue(forKey: address)
            ?? TokenBucket(rate: Double(self.rates.perSecond), burst: Double(self.rates.burst), now: now)
        defer { self.recent[address] = bucket }
        return bucket.take(now: now)
    }

    private mutating func forget(now: NIODeadline) {
        guard let end = self.periodEnd else {
            self.periodEnd = now + self.period
            return
        }
        guard now >= end else { return }
        // After a pause of more than a period the earlier ones are as old.
        self.earlier = now - end < self.period ? self.recent : [:]
        self.recent = [:]
        self.periodEnd = now + self.period
    }
}
