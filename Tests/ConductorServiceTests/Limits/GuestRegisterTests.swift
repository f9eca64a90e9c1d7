import ConductorRPC
import ConductorService
import NIOCore
import RelayTesting
import TLSSocket
import Testing

@Suite struct GuestRegisterTests {
    private final class Share {
        var isUsed = false
    }

    private let start = NIODeadline.uptimeNanoseconds(1)
    private static let identities: [PeerIdentity] = (0..<8).map { PeerIdentity(names: ["inst-\($0)"]) }

    private func join(
        _ register: inout GuestRegister<Share>, _ guest: Int, _ now: NIODeadline
    ) -> Share? {
        register.join(Self.identities[guest], now: now, isForgettable: { !$0.isUsed }, share: { Share() })
    }

    private func leave(_ register: inout GuestRegister<Share>, _ guest: Int, _ now: NIODeadline) {
        register.leave(Self.identities[guest], now: now, isForgettable: { !$0.isUsed })
    }

    @Test func theConnectionsOfOneGuestAreCountedAndItsShareIsOne() throws {
        var register = GuestRegister<Share>(connectionsPerGuest: 2, memory: .seconds(8))
        let first = try #require(self.join(&register, 0, self.start))
        let second = try #require(self.join(&register, 0, self.start))
        #expect(first === second)
        let third = self.join(&register, 0, self.start)
        #expect(third == nil)
        // Another guest is none of its business.
        let other = try #require(self.join(&register, 1, self.start))
        #expect(other !== first)
        self.leave(&register, 0, self.start)
        let again = self.join(&register, 0, self.start)
        #expect(again === first)
    }

    @Test func whoLeavesInDebtComesBackToIt() throws {
        var register = GuestRegister<Share>(connectionsPerGuest: 2, memory: .seconds(8))
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

    /// However guests come and go, the register holds those who are connected and those whose share is not as good as new.
    @Test(arguments: 0..<100 as Range<UInt64>)
    func itHoldsNoMoreThanItMust(seed: UInt64) {
        var random = Seeded(seed)
        var register = GuestRegister<Share>(connectionsPerGuest: 3, memory: .seconds(8))
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
            // Nothing is spent by who is not there.
            shares[guest]?.isUsed = random.chance(50) && (connections[guest] > 0 || shares[guest]?.isUsed == true)
            // A departure is noted for each time that somebody left, and each is looked at within its time.
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
