// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import ConductorService
import NIOCore
import RandomTesting
import TLSChannel
import Testing

@Suite struct GuestRegisterStateMachineTests {
    private final class Share {
        var isUsed = false
    }

    private let start = NIODeadline.uptimeNanoseconds(1)
    private static let identities: [PeerIdentity] = (0..<8).map { PeerIdentity(names: ["inst-\($0)"]) }

    /// A register, and the numbers of each guest's connections.
    private struct Register {
        var register: GuestRegisterStateMachine<Share>
        var numbers: [Int: [UInt64]] = [:]
        /// The numbers of connections that were closed to admit others.
        var closed: [UInt64] = []
        var count: Int { self.register.count }
        var noted: Int { self.register.noted }

        init(connections: Int = .max, connectionsPerGuest: Int, connectionsPerHolder: Int = .max) {
            self.register = GuestRegisterStateMachine(
                .init(
                    connections: connections, connectionsPerGuest: connectionsPerGuest,
                    connectionsPerHolder: connectionsPerHolder), memory: .seconds(8))
        }
    }

    private func join(
        _ register: inout Register, _ guest: Int, _ now: NIODeadline, for holder: ConnectionQuotaOwner = .unknown,
        activity: (UInt64) -> NIODeadline = { .uptimeNanoseconds($0) }
    ) -> Share? {
        let admission = register.register.join(
            Self.identities[guest], for: holder, now: now, lastActivity: activity, isForgettable: { !$0.isUsed },
            share: { Share() })
        guard case .admitted(let number, let share, let closing) = admission else { return nil }
        register.numbers[guest, default: []].append(number)
        if let closing { register.closed.append(closing) }
        return share
    }

    private func leave(_ register: inout Register, _ guest: Int, _ now: NIODeadline) {
        guard let number = register.numbers[guest]?.popLast() else { return }
        register.register.leave(number, now: now, isForgettable: { !$0.isUsed })
    }

    @Test("A tenant has at most its fraction of all connections, and others have the rest")
    func connectionsOfOneTenant() {
        var register = Register(connectionsPerGuest: 8, connectionsPerHolder: 4)
        // Four compromised guests of one tenant.
        for guest in 0..<4 {
            let share = self.join(&register, guest, self.start, for: .tenant("a"))
            #expect(share != nil)
        }
        #expect(self.join(&register, 0, self.start, for: .tenant("a")) == nil)
        #expect(self.join(&register, 4, self.start, for: .tenant("a")) == nil)
        #expect(self.join(&register, 5, self.start, for: .tenant("b")) != nil)
        // Where certificates name no tenant, the limit is for the address.
        for guest in 0..<4 { #expect(self.join(&register, guest, self.start, for: .network(.v4(1))) != nil) }
        #expect(self.join(&register, 6, self.start, for: .network(.v4(1))) == nil)
        #expect(self.join(&register, 6, self.start, for: .network(.v4(2))) != nil)
        // A place that was freed can be taken again.
        register.register.leave(1, now: self.start, isForgettable: { _ in true })
        #expect(self.join(&register, 4, self.start, for: .tenant("a")) != nil)
    }

    @Test("A full register closes the longest idle connection of the largest tenant's largest guest")
    func fullRegister() {
        var register = Register(connections: 7, connectionsPerGuest: 8)
        // 1 and 2 are of tenant a; 3 to 6 are of tenant b: 3 to 5 of one guest, of which 4 is idle for longest; 6 of
        // another guest, and idle for longer.
        for (guest, tenant) in [(0, "a"), (1, "a"), (2, "b"), (2, "b"), (2, "b"), (3, "b"), (4, "c")] {
            #expect(self.join(&register, guest, self.start, for: .tenant(tenant)) != nil)
        }
        let activity: [UInt64: NIODeadline] = [
            1: .uptimeNanoseconds(1), 2: .uptimeNanoseconds(2), 3: .uptimeNanoseconds(30), 4: .uptimeNanoseconds(20),
            5: .uptimeNanoseconds(40), 6: .uptimeNanoseconds(3), 7: .uptimeNanoseconds(0),
        ]
        #expect(
            self.join(&register, 5, self.start, for: .tenant("c"), activity: { activity[$0] ?? self.start }) != nil)
        #expect(register.closed == [4])
        #expect(register.register.connectionCount == 7 && register.register.connectionCount(of: .tenant("b")) == 3)
        // Its end is reported later, and frees nothing a second time.
        register.register.leave(4, now: self.start, isForgettable: { _ in true })
        #expect(register.register.connectionCount == 7)
    }

    /// However guests connect and disconnect, no limit is exceeded, and no tenant loses a connection to one that has
    /// more.
    @Test(
        "No limit is exceeded, and only a tenant with most connections loses one", arguments: 0..<100 as Range<UInt64>)
    func connectionLimits(seed: UInt64) {
        var random = Seeded(seed)
        var register = GuestRegisterStateMachine<Share>(
            .init(connections: 10, connectionsPerGuest: 3, connectionsPerHolder: 6), memory: .seconds(8))
        var open: [UInt64: (guest: Int, tenant: Int)] = [:]
        var now = self.start
        for _ in 0..<500 {
            now = now + .milliseconds(Int64.random(in: 0...4000, using: &random))
            if random.chance(70) {
                let (guest, tenant) = (Int.random(in: 0..<8, using: &random), Int.random(in: 0..<3, using: &random))
                let admission = register.join(
                    Self.identities[guest], for: .tenant("\(tenant)"), now: now,
                    lastActivity: { .uptimeNanoseconds($0 * 7919 % 31) }, isForgettable: { _ in true },
                    share: { Share() })
                switch admission {
                case .guestHasTooMany: #expect(open.values.count { $0.guest == guest } == 3)
                case .holderHasTooMany: #expect(open.values.count { $0.tenant == tenant } == 6)
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
                register.leave(number, now: now, isForgettable: { _ in true })
            }
            #expect(register.connectionCount == open.count && open.count <= 10)
            for tenant in 0..<3 {
                #expect(
                    register.connectionCount(of: .tenant("\(tenant)")) == open.values.count { $0.tenant == tenant })
            }
        }
    }

    @Test("The connections of a guest are limited, and have one share")
    func connectionsOfOneGuest() throws {
        var register = Register(connectionsPerGuest: 2)
        let first = try #require(self.join(&register, 0, self.start))
        let second = try #require(self.join(&register, 0, self.start))
        #expect(first === second)
        let third = self.join(&register, 0, self.start)
        #expect(third == nil)
        // Another guest has its own share.
        let other = try #require(self.join(&register, 1, self.start))
        #expect(other !== first)
        self.leave(&register, 0, self.start)
        let again = self.join(&register, 0, self.start)
        #expect(again === first)
    }

    @Test("A guest that disconnects in debt still has its debt when it returns")
    func debtAfterDisconnect() throws {
        var register = Register(connectionsPerGuest: 2)
        let share = try #require(self.join(&register, 0, self.start))
        share.isUsed = true
        self.leave(&register, 0, self.start)
        let back = self.join(&register, 0, self.start + .seconds(100))
        #expect(back === share)
        self.leave(&register, 0, self.start + .seconds(100))
        share.isUsed = false
        _ = self.join(&register, 1, self.start + .seconds(107))
        #expect(register.count == 2)
        self.leave(&register, 1, self.start + .seconds(108))
        #expect(register.count == 1)
    }

    /// However guests connect and disconnect, the register holds those that are connected and those whose `Share` is
    /// not as good as new.
    @Test(
        "The register holds only guests that are connected or whose share is in use",
        arguments: 0..<100 as Range<UInt64>)
    func registerSize(seed: UInt64) {
        var random = Seeded(seed)
        var register = Register(connectionsPerGuest: 3)
        var connections = [Int](repeating: 0, count: 8)
        var shares = [Share?](repeating: nil, count: 8)
        var now = self.start
        for _ in 0..<500 {
            now = now + .milliseconds(Int64.random(in: 0...4000, using: &random))
            let guest = Int.random(in: 0..<8, using: &random)
            if random.chance(55) {
                let share = self.join(&register, guest, now)
                #expect((share == nil) == (connections[guest] == 3))
                guard let share else { continue }
                if connections[guest] > 0 || shares[guest]?.isUsed == true { #expect(share === shares[guest]) }
                connections[guest] += 1
                shares[guest] = share
            } else if connections[guest] > 0 {
                connections[guest] -= 1
                self.leave(&register, guest, now)
            }
            // A guest that is not connected spends nothing.
            shares[guest]?.isUsed = random.chance(50) && (connections[guest] > 0 || shares[guest]?.isUsed == true)
            // Each disconnection is recorded, and each record is examined within its time.
            #expect(register.count <= 8 && register.noted <= 500)
        }
        for guest in 0..<8 {
            shares[guest]?.isUsed = false
            for _ in 0..<connections[guest] { self.leave(&register, guest, now) }
        }
        now = now + .seconds(8)
        _ = self.join(&register, 0, now)
        self.leave(&register, 0, now)
        now = now + .seconds(8)
        _ = self.join(&register, 0, now)
        #expect(register.count == 1)
        #expect(register.noted == 0)
    }
}
