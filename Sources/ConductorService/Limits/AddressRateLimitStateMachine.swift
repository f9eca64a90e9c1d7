// SPDX-License-Identifier: Apache-2.0

package import ConductorRPC
package import NIOCore

/// Rate limits for new connections, with a token bucket for each address. It reads no clock.
///
/// A stranger with nothing but a socket can make the conductor do the work of a handshake, and only the stranger's
/// address is known.
package struct AddressRateLimitStateMachine: Sendable {
    /// The rate limit of an address.
    package struct Rates: Sendable {
        /// New connections a second, in the long run.
        package var perSecond = 20
        /// New connections at once, from an address that has been idle.
        package var burst = 100

        /// Creates the defaults.
        package init() {}
    }

    private let rates: Rates
    private let capacity: Int
    /// The time in which an empty bucket fills, but at least a second.
    private let period: TimeAmount
    /// The buckets of the addresses that connected in this period, and of those that last connected in the period
    /// before. An address that did not connect for a whole period has a full bucket, and need not be remembered.
    private var recent: [NetworkAddress: TokenBucket] = [:]
    private var earlier: [NetworkAddress: TokenBucket] = [:]
    private var periodEnd: NIODeadline?

    /// - Parameters:
    ///   - rates: the rates of each address.
    ///   - capacity: the maximum number of addresses that are remembered of each of two periods. Further addresses are
    ///     admitted: an attacker with so many addresses would want newcomers to be rejected.
    package init(_ rates: Rates, capacity: Int = 65_536) {
        self.rates = rates
        self.capacity = capacity
        let seconds = Double(rates.burst) / Double(max(rates.perSecond, 1))
        self.period = TimeAmount(.seconds(min(max(seconds, 1), 1e9)))
    }

    /// The number of addresses that are remembered.
    package var count: Int { self.recent.count + self.earlier.count }

    /// Takes a token for a new connection of this address.
    ///
    /// - Returns: whether the address may connect.
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
        // If no address connected for a whole period after `end`, the recent buckets are full as well.
        self.earlier = now - end < self.period ? self.recent : [:]
        self.recent = [:]
        self.periodEnd = now + self.period
    }
}
