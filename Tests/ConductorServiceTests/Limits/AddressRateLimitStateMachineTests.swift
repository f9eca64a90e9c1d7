// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import NIOCore
import Testing

@testable import ConductorService

@Suite struct AddressRateLimitStateMachineTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000)

    private func rates(_ perSecond: Int, burst: Int) -> AddressRateLimitStateMachine.Rates {
        var rates = AddressRateLimitStateMachine.Rates()
        rates.perSecond = perSecond
        rates.burst = burst
        return rates
    }

    @Test("An address beyond its rate is rejected, and other addresses are not affected")
    func ratePerAddress() {
        var budgets = AddressRateLimitStateMachine(self.rates(2, burst: 3))
        for _ in 1...3 { #expect(budgets.take(.v4(1), now: self.start) == true) }
        #expect(budgets.take(.v4(1), now: self.start) == false)
        #expect(budgets.take(.v4(2), now: self.start) == true)
        #expect(budgets.take(.v4(1), now: self.start + .milliseconds(499)) == false)
        #expect(budgets.take(.v4(1), now: self.start + .milliseconds(500)) == true)
        #expect(budgets.take(.v4(1), now: self.start + .milliseconds(501)) == false)
    }

    /// An address that is forgotten has no advantage from it, whenever it connects.
    @Test(
        "An address that is forgotten is admitted no more often than its token bucket allows",
        arguments: [1, 7, 100, 999, 1000, 1400, 1500, 2100, 3000, 4600])
    func forgottenAddress(gap: Int) {
        var budgets = AddressRateLimitStateMachine(self.rates(2, burst: 3))
        var bucket = TokenBucket(rate: 2, burst: 3, now: self.start)
        for step in 0..<2000 {
            let now = self.start + .milliseconds(Int64(step * gap))
            // Connections of other addresses make the periods pass.
            _ = budgets.take(.v6(UInt128(step)), now: now)
            let (isLetIn, hasToken) = (budgets.take(.v4(1), now: now), bucket.take(now: now))
            #expect(isLetIn == hasToken, "\(step)")
        }
    }

    @Test("Addresses that no longer connect are forgotten")
    func idleAddresses() {
        var budgets = AddressRateLimitStateMachine(self.rates(10, burst: 10))
        for address in 0..<1000 { _ = budgets.take(.v4(UInt32(address)), now: self.start) }
        #expect(budgets.count == 1000)
        _ = budgets.take(.v4(0), now: self.start + .milliseconds(1001))
        #expect(budgets.count == 1000)
        _ = budgets.take(.v4(0), now: self.start + .milliseconds(2002))
        #expect(budgets.count == 1)
        for address in 0..<10 { _ = budgets.take(.v4(UInt32(address)), now: self.start + .milliseconds(2003)) }
        // No address connected for longer.
        _ = budgets.take(.v4(0), now: self.start + .seconds(60))
        #expect(budgets.count == 1)
    }

    @Test("At capacity, known addresses keep their limit and new ones are admitted without one")
    func fullCapacity() {
        var budgets = AddressRateLimitStateMachine(self.rates(1, burst: 1), capacity: 2)
        for address in 1...2 { #expect(budgets.take(.v4(UInt32(address)), now: self.start) == true) }
        for _ in 1...3 { #expect(budgets.take(.v4(3), now: self.start) == true) }
        for address in 1...2 { #expect(budgets.take(.v4(UInt32(address)), now: self.start) == false) }
        #expect(budgets.count == 2)
        // In the next period other addresses come first, and those of the first period do not increase the count.
        let later = self.start + .milliseconds(1001)
        for address in 4...5 { #expect(budgets.take(.v4(UInt32(address)), now: later) == true) }
        for address in 1...2 {
            #expect(budgets.take(.v4(UInt32(address)), now: later) == true)
            #expect(budgets.take(.v4(UInt32(address)), now: later) == false)
        }
        #expect(budgets.count == 4)
    }

    @Test("An IPv4 address counts as its host, and an IPv6 address as its network")
    func addressOrNetwork() throws {
        func network(_ text: String) throws -> NetworkAddress? {
            NetworkAddress(try SocketAddress(ipAddress: text, port: 7))
        }
        #expect(try network("192.0.2.1") == network("::ffff:192.0.2.1"))
        #expect(try network("192.0.2.1") != network("192.0.2.2"))
        #expect(try network("2001:db8:1:2::1") == network("2001:db8:1:2:ffff:ffff:ffff:fffe"))
        #expect(try network("2001:db8:1:2::1") != network("2001:db8:1:3::1"))
        #expect(try network("::1") != network("::ffff:0.0.0.1"))
        // The operator sets the length of the prefix.
        let (host, neighbour) = ("2001:db8:1:2::1", "2001:db8:1:ff::1")
        func prefix(_ text: String, _ length: Int) throws -> NetworkAddress? {
            NetworkAddress(try SocketAddress(ipAddress: text, port: 7), ipv6PrefixLength: length)
        }
        #expect(try prefix(host, 48) == prefix(neighbour, 48) && prefix(host, 56) == prefix("2001:db8:1:f0::", 56))
        #expect(try prefix(host, 57) != prefix(neighbour, 57))
        #expect(try prefix(host, 128) != prefix("2001:db8:1:2::2", 128))
        #expect(try NetworkAddress(SocketAddress(unixDomainSocketPath: "/nowhere")) == nil)
    }
}
