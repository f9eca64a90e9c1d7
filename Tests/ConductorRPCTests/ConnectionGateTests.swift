import Testing

@testable import ConductorRPC

@Suite struct ConnectionGateStateMachineTests {
    @Test func connectionsAndHandshakesAreCountedApart() {
        var gate = ConnectionGateStateMachine<Int>(connections: 3, handshakes: 2)
        gate.accepted(1)
        #expect(gate.obstacle == nil)
        gate.accepted(2)
        #expect(gate.obstacle == .handshakes)
        gate.handshakeCompleted(1)
        #expect(gate.obstacle == nil)
        gate.accepted(3)
        #expect(gate.obstacle == .connections)
        gate.closed(1)
        #expect(gate.obstacle == .handshakes)
        // A handshake that failed.
        gate.closed(2)
        #expect(gate.obstacle == nil)
        #expect(gate.openCount == 1 && gate.handshakeCount == 1)
    }

    @Test func afterAFailureItIsTriedAgainInTimeOrWhenADescriptorIsFree() {
        var gate = ConnectionGateStateMachine<Int>(connections: 3, handshakes: 3)
        gate.accepted(1)
        gate.failed()
        #expect(gate.obstacle == .failure)
        gate.retry()
        #expect(gate.obstacle == nil)
        gate.failed()
        gate.closed(1)
        #expect(gate.obstacle == nil)
    }

    /// Whatever comes, in whatever order, and twice: neither number is ever passed, and both come back to nought.
    @Test(arguments: 0..<100 as Range<UInt64>)
    func theNumbersHold(seed: UInt64) {
        var random = Seeded(state: seed)
        let (connections, handshakes) = (Int.random(in: 1...6, using: &random), Int.random(in: 1...6, using: &random))
        var gate = ConnectionGateStateMachine<Int>(connections: connections, handshakes: handshakes)
        var open: Set<Int> = []
        var handshaking: Set<Int> = []
        for id in 0..<300 {
            if gate.obstacle == nil {
                gate.accepted(id)
                open.insert(id)
                handshaking.insert(id)
            }
            let other = Int.random(in: max(0, id - 12)...id, using: &random)
            switch Int.random(in: 0..<4, using: &random) {
            case 0: gate.failed()
            case 1: gate.retry()
            case 2:
                gate.handshakeCompleted(other)
                handshaking.remove(other)
            default:
                gate.closed(other)
                open.remove(other)
                handshaking.remove(other)
            }
            #expect(gate.openCount == open.count && open.count <= connections)
            #expect(gate.handshakeCount == handshaking.count && handshaking.count <= handshakes)
        }
        for id in 0..<300 { gate.closed(id) }
        #expect(gate.openCount == 0 && gate.handshakeCount == 0 && gate.obstacle == nil)
    }
}

/// Random numbers that are the same in every run.
private struct Seeded: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        self.state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = self.state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
