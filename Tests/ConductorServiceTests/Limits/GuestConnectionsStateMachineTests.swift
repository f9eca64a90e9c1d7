// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import ConductorService
import NIOCore
import RandomTesting
import TLSChannel
import Testing

@Suite struct GuestConnectionsStateMachineTests {
    private final class RateLimiter {
        var isUsed = false
    }

    private let start = NIODeadline.uptimeNanoseconds(1)
    private static let identities: [PeerIdentity] = (0..<8).map { PeerIdentity(names: ["inst-\($0)"]) }

    /// A register, and the numbers of each guest's connections.
    private struct Register {
        var register: GuestConnectionsStateMachine<RateLimiter>
        var numbers: [Int: [UInt64]] = [:]
        /// The numbers of connections that were closed to admit others.
        var closed: [UInt64] = []
        var count: Int { self.register.count }
        var departureCount: Int { self.register.departureCount }

        init(connections: Int = .max, connectionsPerGuest: Int, connectionsPerOwner: Int = .max) {
            self.register = GuestConnectionsStateMachine(
                .init(
                    connections: connections, connectionsPerGuest: connectionsPerGuest,
                    connectionsPerOwner: connectionsPerOwner), retention: .seconds(8))
        }
    }

    private func admit(
        _ register: inout Register, _ guest: Int, _ now: NIODeadline, for owner: ConnectionQuotaOwner = .unknown,
        activity: (UInt64) -> NIODeadline = { .uptimeNanoseconds($0) }
    ) -> RateLimiter? {
        let admission = register.register.admit(
            Self.identities[guest], for: owner, now: now, lastActivity: activity, forgetIfFull: { !$0.isUsed },
            makeRateLimiter: { RateLimiter() })
        guard case .admitted(let number, let rateLimiter, let closing) = admission else { return nil }
        register.numbers[guest, default: []].append(number)
        if let closing { register.closed.append(closing) }
        return rateLimiter
    }

    private func remove(_ register: inout Register, _ guest: Int, _ now: NIODeadline) {
        guard let number = register.numbers[guest]?.popLast() else { return }
        register.register.remove(number, now: now, forgetIfFull: { !$0.isUsed })
    }

    @Test("A tenant has at most its fraction of all connections, and others have the rest")
    func connectionsOfOneTenant() {
        var register = Register(connectionsPerGuest: 8, connectionsPerOwner: 4)
        // Four compromised guests of one tenant.
        for guest in 0..<4 {
            let rateLimiter = self.admit(&register, guest, self.start, for: .tenant("a"))
            #expect(rateLimiter != nil)
        }
        #expect(self.admit(&register, 0, self.start, for: .tenant("a")) == nil)
        #expect(self.admit(&register, 4, self.start, for: .tenant("a")) == nil)
        #expect(self.admit(&register, 5, self.start, for: .tenant("b")) != nil)
        // Where certificates name no tenant, the limit is for the address.
        for guest in 0..<4 { #expect(self.admit(&register, guest, self.start, for: .network(.v4(1))) != nil) }
        #expect(self.admit(&register, 6, self.start, for: .network(.v4(1))) == nil)
        #expect(self.admit(&register, 6, self.start, for: .network(.v4(2))) != nil)
        // A place that was freed can be taken again.
        register.register.remove(1, now: self.start, forgetIfFull: { _ in true })
        #expect(self.admit(&register, 4, self.start, for: .tenant("a")) != nil)
    }

    @Test("A full register closes the longest idle connection of the largest tenant's largest guest")
    func fullRegister() {
        var register = Register(connections: 7, connectionsPerGuest: 8)
        // 1 and 2 are of tenant a; 3 to 6 are of tenant b: 3 to 5 of one guest, of which 4 is idle for longest; 6 of
        // another guest, and idle for longer.
        for (guest, tenant) in [(0, "a"), (1, "a"), (2, "b"), (2, "b"), (2, "b"), (3, "b"), (4, "c")] {
            #expect(self.admit(&register, guest, self.start, for: .tenant(tenant)) != nil)
        }
        let activity: [UInt64: NIODeadline] = [
            1: .uptimeNanoseconds(1), 2: .uptimeNanoseconds(2), 3: .uptimeNanoseconds(30), 4: .uptimeNanoseconds(20),
            5: .uptimeNanoseconds(40), 6: .uptimeNanoseconds(3), 7: .uptimeNanoseconds(0),
        ]
        #expect(
            self.admit(&register, 5, self.start, for: .tenant("c"), activity: { activity[$0] ?? self.start }) != nil)
        #expect(register.closed == [4])
        #expect(register.register.connectionCount == 7 && register.register.connectionCount(of: .tenant("b")) == 3)
        // Its end is reported later, and frees nothing a second time.
        register.register.remove(4, now: self.start, forgetIfFull: { _ in true })
        #expect(register.register.connectionCount == 7)
    }

    /// However guests connect and disconnect, no limit is exceeded, and no tenant loses a connection to one that has
    /// more.
    @Test(
        "No limit is exceeded, and only a tenant with most connections loses one", arguments: 0..<100 as Range<UInt64>)
    func connectionLimits(seed: UInt64) {
        var random = Seeded(seed)
        var register = GuestConnectionsStateMachine<RateLimiter>(
            .init(connections: 10, connectionsPerGuest: 3, connectionsPerOwner: 6), retention: .seconds(8))
        var open: [UInt64: (guest: Int, tenant: Int)] = [:]
        var now = self.start
        for _ in 0..<500 {
            now = now + .milliseconds(Int64.random(in: 0...4000, using: &random))
            if random.chance(70) {
                let (guest, tenant) = (Int.random(in: 0..<8, using: &random), Int.random(in: 0..<3, using: &random))
                let admission = register.admit(
                    Self.identities[guest], for: .tenant("\(tenant)"), now: now,
                    lastActivity: { .uptimeNanoseconds($0 * 7919 % 31) }, forgetIfFull: { _ in true },
                    makeRateLimiter: { RateLimiter() })
                switch admission {
                case .guestHasTooMany: #expect(open.values.count { $0.guest == guest } == 3)
                case .ownerHasTooMany: #expect(open.values.count { $0.tenant == tenant } == 6)
                case .admitted(let number, _, let closing):
                    #expect((closing != nil) == (open.count == 10))
                    if let closing, let closed = open.removeValue(forKey: closing) {
                        let counts = (0..<3).map { tenant in open.values.count { $0.tenant == tenant } }
                        #expect(counts[closed.tenant] + 1 >= counts.max() ?? 0)
                    }
                    open[number] = (guest, tenant)
                }
            } else if let number = open.keys.sorted().randomElement(using: &random) {
                open[number] = nil
                register.remove(number, now: now, forgetIfFull: { _ in true })
            }
            #expect(register.connectionCount == open.count && open.count <= 10)
            for tenant in 0..<3 {
                #expect(
                    register.connectionCount(of: .tenant("\(tenant)")) == open.values.count { $0.tenant == tenant })
            }
        }
    }

    @Test("The connections of a guest are limited, and have one rate limiter")
    func connectionsOfOneGuest() throws {
        var register = Register(connectionsPerGuest: 2)
        let first = try #require(self.admit(&register, 0, self.start))
        let second = try #require(self.admit(&register, 0, self.start))
        #expect(first === second)
        let third = self.admit(&register, 0, self.start)
        #expect(third == nil)
        // Another guest has its own rate limiter.
        let other = try #require(self.admit(&register, 1, self.start))
        #expect(other !== first)
        self.remove(&register, 0, self.start)
        let again = self.admit(&register, 0, self.start)
        #expect(again === first)
    }

    @Test("A guest that disconnects in debt still has its debt when it returns")
    func debtAfterDisconnect() throws {
        var register = Register(connectionsPerGuest: 2)
        let rateLimiter = try #require(self.admit(&register, 0, self.start))
        rateLimiter.isUsed = true
        self.remove(&register, 0, self.start)
        let back = self.admit(&register, 0, self.start + .seconds(100))
        #expect(back === rateLimiter)
        self.remove(&register, 0, self.start + .seconds(100))
        rateLimiter.isUsed = false
        _ = self.admit(&register, 1, self.start + .seconds(107))
        #expect(register.count == 2)
        self.remove(&register, 1, self.start + .seconds(108))
        #expect(register.count == 1)
    }

    /// However guests connect and disconnect, the register holds those that are connected and those whose rate limiter
    /// is not full.
    @Test(
        "The register holds only guests that are connected or whose rate limiter is in use",
        arguments: 0..<100 as Range<UInt64>)
    func registerSize(seed: UInt64) {
        var random = Seeded(seed)
        var register = Register(connectionsPerGuest: 3)
        var connections = [Int](repeating: 0, count: 8)
        var limiters = [RateLimiter?](repeating: nil, count: 8)
        var now = self.start
        for _ in 0..<500 {
            now = now + .milliseconds(Int64.random(in: 0...4000, using: &random))
            let guest = Int.random(in: 0..<8, using: &random)
            if random.chance(55) {
                let rateLimiter = self.admit(&register, guest, now)
                #expect((rateLimiter == nil) == (connections[guest] == 3))
                guard let rateLimiter else { continue }
                if connections[guest] > 0 || limiters[guest]?.isUsed == true {
                    #expect(rateLimiter === limiters[guest])
                }
                connections[guest] += 1
                limiters[guest] = rateLimiter
            } else if connections[guest] > 0 {
                connections[guest] -= 1
                self.remove(&register, guest, now)
            }
            // A guest that is not connected spends nothing.
            limiters[guest]?.isUsed = random.chance(50) && (connections[guest] > 0 || limiters[guest]?.isUsed == true)
            // Each disconnection is recorded, and each record is examined within its time.
            #expect(register.count <= 8 && register.departureCount <= 500)
        }
        for guest in 0..<8 {
            limiters[guest]?.isUsed = false
            for _ in 0..<connections[guest] { self.remove(&register, guest, now) }
        }
        now = now + .seconds(8)
        _ = self.admit(&register, 0, now)
        self.remove(&register, 0, now)
        now = now + .seconds(8)
        _ = self.admit(&register, 0, now)
        #expect(register.count == 1)
        #expect(register.departureCount == 0)
    }
}
