// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RandomTesting
import Testing

@testable import ConductorRPC

@Suite struct ConnectionGateStateMachineTests {
    private typealias Gate = ConnectionGateStateMachine<Int>
    private static let start = NIODeadline.uptimeNanoseconds(1_000_000_000)
    private var start: NIODeadline { Self.start }

    private func gate(pending: Int = 100, handshakes: Int = 100, perAddress: Int? = nil) -> Gate {
        var limits = Gate.Limits(pending: pending, handshakes: handshakes, handshakesPerAddress: perAddress)
        limits.handshakeGrace = .seconds(1)
        return Gate(limits)
    }

    /// Adds a connection that sends its ClientHello at once.
    private func greet(_ gate: inout Gate, _ id: Int, from address: UInt32, now: NIODeadline) -> [Gate.Action] {
        gate.accepted(id, from: .v4(address), now: now) + gate.helloCompleted(id, now: now)
    }

    @Test("A connection counts as silent, then as a handshake in progress, then as served")
    func connectionStates() {
        var gate = self.gate()
        #expect(gate.accepted(1, from: .v4(1), now: self.start) == [])
        #expect(gate.counts == .init(silent: 1, waiting: 0, handshakes: 0, served: 0, open: 1))
        #expect(gate.helloCompleted(1, now: self.start) == [.begin(1)])
        #expect(gate.counts == .init(silent: 0, waiting: 0, handshakes: 1, served: 0, open: 1))
        #expect(gate.handshakeCompleted(1, now: self.start) == [])
        #expect(gate.counts == .init(silent: 0, waiting: 0, handshakes: 0, served: 1, open: 1))
        #expect(gate.closed(1, now: self.start) == [])
        #expect(gate.counts == .init() && gate.addressCount == 0)
    }

    @Test("Handshakes of one address do not delay connections of another")
    func handshakesOfOneAddress() {
        // The default of 256 handshakes: 8 of an address.
        var gate = self.gate(handshakes: 256)
        for id in 0..<20 {
            #expect(self.greet(&gate, id, from: 1, now: self.start) == (id < 8 ? [.begin(id)] : []))
        }
        #expect(gate.handshakeCount(of: .v4(1)) == 8 && gate.counts.waiting == 12)
        // Another address does not wait behind them.
        #expect(self.greet(&gate, 100, from: 2, now: self.start) == [.begin(100)])
        // A handshake that ends makes room for the next connection of its address, in the order of arrival.
        #expect(gate.handshakeCompleted(3, now: self.start) == [.begin(8)])
        #expect(gate.closed(9, now: self.start) == [])
        #expect(gate.closed(5, now: self.start) == [.begin(10)])
    }

    @Test("The default limit for an address is a thirty-second of all handshakes, at least four")
    func defaultPerAddress() {
        #expect(Gate.Limits(pending: 1, handshakes: 256).handshakesPerAddress == 8)
        #expect(Gate.Limits(pending: 1, handshakes: 16).handshakesPerAddress == 4)
        #expect(Gate.Limits(pending: 1, handshakes: 16, handshakesPerAddress: 1).handshakesPerAddress == 1)
    }

    @Test("Addresses get places for handshakes in round robin")
    func roundRobin() {
        var gate = self.gate(handshakes: 1, perAddress: 1)
        #expect(self.greet(&gate, 0, from: 9, now: self.start) == [.begin(0)])
        for id in 1...3 { #expect(self.greet(&gate, id, from: 1, now: self.start) == []) }
        #expect(self.greet(&gate, 4, from: 2, now: self.start) == [])
        #expect(gate.handshakeCompleted(0, now: self.start) == [.begin(1)])
        #expect(gate.handshakeCompleted(1, now: self.start) == [.begin(4)])
        #expect(gate.handshakeCompleted(4, now: self.start) == [.begin(2)])
        #expect(gate.handshakeCompleted(2, now: self.start) == [.begin(3)])
    }

    @Test("When too many connections are pending, the oldest silent one is closed")
    func tooManyPending() {
        var gate = self.gate(pending: 3)
        for id in 1...3 { #expect(gate.accepted(id, from: .v4(UInt32(id)), now: self.start) == []) }
        let later = self.start + .seconds(1)
        // Accepting does not stop.
        #expect(gate.isAccepting)
        #expect(gate.accepted(4, from: .v4(4), now: later) == [.close(1, .pending)])
        #expect(gate.helloCompleted(2, now: later) == [.begin(2)])
        #expect(gate.accepted(5, from: .v4(5), now: later) == [])
        #expect(gate.accepted(6, from: .v4(6), now: later) == [.close(3, .pending)])
        #expect(gate.counts.silent == 3)
        // A closed connection begins no handshake, and counts as open until its descriptor is free.
        #expect(gate.helloCompleted(1, now: later) == [])
        #expect(gate.counts.open == 6)
        #expect(gate.closed(1, now: later) == [])
        #expect(gate.counts.open == 5)
    }

    @Test("While no connection has been silent for long, the busiest address loses its newest one")
    func newestOfBusiestAddress() {
        var gate = self.gate(pending: 4, handshakes: 1)
        #expect(self.greet(&gate, 0, from: 9, now: self.start) == [.begin(0)])
        for (id, address) in [(1, 1), (2, 2), (3, 2), (4, 2)] as [(Int, UInt32)] {
            #expect(self.greet(&gate, id, from: address, now: self.start) == [])
        }
        // The new connection is silent, and has had no time to send anything.
        #expect(gate.accepted(5, from: .v4(3), now: self.start) == [.close(4, .pending)])
        #expect(gate.helloCompleted(5, now: self.start) == [])
        #expect(gate.accepted(6, from: .v4(4), now: self.start) == [.close(3, .pending)])
        // If no address has several waiting connections, the silent one is closed.
        #expect(gate.accepted(7, from: .v4(5), now: self.start) == [.close(6, .pending)])
    }

    @Test("When all places are taken, the oldest overdue handshake of the busiest address is closed")
    func oldestOfBusiestAddress() {
        var gate = self.gate(handshakes: 4, perAddress: 3)
        for (id, address) in [(1, 1), (2, 2), (3, 2), (4, 2)] as [(Int, UInt32)] {
            let now = self.start + .milliseconds(Int64(id))
            #expect(self.greet(&gate, id, from: address, now: now) == [.begin(id)])
        }
        // An honest handshake takes less than this.
        #expect(self.greet(&gate, 5, from: 3, now: self.start + .milliseconds(10)) == [])
        #expect(gate.nextCheck == self.start + .milliseconds(1001))
        #expect(gate.checkDeadlines(now: self.start + .milliseconds(1000)) == [])
        #expect(gate.checkDeadlines(now: self.start + .milliseconds(1002)) == [.close(2, .handshakes), .begin(5)])
        #expect(gate.nextCheck == nil)
        // Now two addresses have one each and one has two, whose oldest is 3.
        #expect(self.greet(&gate, 6, from: 4, now: self.start + .seconds(3)) == [.close(3, .handshakes), .begin(6)])
        // The end of a closed handshake does not free its place a second time.
        #expect(gate.closed(2, now: self.start + .seconds(3)) == [])
        #expect(gate.counts.handshakes == 4)
    }

    /// The address with the most handshakes may always have new ones. A stalled handshake of another address is closed
    /// nevertheless.
    @Test("New handshakes of the busiest address do not protect a stalled one of another address")
    func stalledHandshake() {
        var gate = self.gate(handshakes: 3, perAddress: 2)
        #expect(self.greet(&gate, 1, from: 1, now: self.start) == [.begin(1)])
        let later = self.start + .milliseconds(900)
        for id in 2...3 { #expect(self.greet(&gate, id, from: 2, now: later) == [.begin(id)]) }
        #expect(self.greet(&gate, 4, from: 3, now: later) == [])
        #expect(gate.nextCheck == self.start + .seconds(1))
        #expect(gate.checkDeadlines(now: self.start + .seconds(1)) == [.close(1, .handshakes), .begin(4)])
        #expect(gate.nextCheck == nil)
    }

    /// An address loses its turn with its last waiting connection.
    @Test("No handshake is closed for an address that has no waiting connection")
    func nothingWaiting() {
        var gate = self.gate(handshakes: 1, perAddress: 1)
        #expect(self.greet(&gate, 1, from: 1, now: self.start) == [.begin(1)])
        #expect(self.greet(&gate, 2, from: 2, now: self.start) == [])
        #expect(gate.closed(2, now: self.start) == [])
        #expect(gate.nextCheck == nil && gate.addressCount == 1)
        #expect(gate.checkDeadlines(now: self.start + .seconds(5)) == [])
        // Nor when another address is behind it in the queue.
        #expect(self.greet(&gate, 3, from: 2, now: self.start) == [])
        #expect(self.greet(&gate, 4, from: 3, now: self.start) == [])
        #expect(gate.closed(3, now: self.start) == [])
        #expect(gate.closed(4, now: self.start + .seconds(5)) == [])
        #expect(gate.handshakeCount(of: .v4(1)) == 1)
    }

    /// An attacker makes the gate close its newest connection again and again, and opens another one each time.
    @Test("The queues stay in proportion to the number of pending connections")
    func queueLength() {
        var gate = self.gate(pending: 50, handshakes: 1)
        _ = self.greet(&gate, 0, from: 9, now: self.start)
        for id in 1...2000 {
            _ = self.greet(&gate, id, from: 1, now: self.start)
            #expect(gate.placeCount <= 60, "\(id)")
        }
        // Peers that disconnect between others that stay.
        for id in 2001...6000 {
            _ = self.greet(&gate, id, from: UInt32(2 + id % 3), now: self.start)
            _ = gate.closed(id - 1, now: self.start)
        }
        #expect(gate.placeCount <= 2 * (gate.counts.silent + gate.counts.waiting) + 5 * 64)
        for id in 6001...9000 {
            _ = gate.accepted(id, from: .v4(UInt32(2 + id % 3)), now: self.start)
            _ = gate.closed(id - 1, now: self.start)
        }
        #expect(gate.placeCount <= 2 * (gate.counts.silent + gate.counts.waiting) + 6 * 64)
    }

    /// The gate chooses without a search, and the model with one.
    @Test("The connection that is closed is the one that a complete search finds", arguments: 0..<60 as Range<UInt64>)
    func closedConnection(seed: UInt64) {
        var random = Seeded(seed)
        let pending = Int.random(in: 2...60, using: &random)
        let handshakes = Int.random(in: 1...20, using: &random)
        let perAddress = Int.random(in: 1...4, using: &random)
        let addressCount = UInt32.random(in: 1...40, using: &random)
        var gate = self.gate(pending: pending, handshakes: handshakes, perAddress: perAddress)
        var now = self.start
        var model = Model()
        for id in 0..<1500 {
            now = now + .milliseconds(Int64.random(in: 0...40, using: &random))
            model.silent.append((id, UInt32.random(in: 0..<addressCount, using: &random), now))
            model.apply(gate.accepted(id, from: .v4(model.silent[model.silent.count - 1].address), now: now), now: now)
            for _ in 0..<Int.random(in: 0...3, using: &random) {
                let other = Int.random(in: max(0, id - 80)...id, using: &random)
                switch Int.random(in: 0..<10, using: &random) {
                case 0: model.apply(gate.failed(now: now), now: now)
                case 1:
                    model.handshakes.removeAll { $0.id == other }
                    model.apply(gate.handshakeCompleted(other, now: now), now: now)
                case 2:
                    model.remove(other)
                    model.apply(gate.closed(other, now: now), now: now)
                case 3: model.apply(gate.checkDeadlines(now: now), now: now)
                default:
                    if let index = model.silent.firstIndex(where: { $0.id == other }) {
                        model.waiting.append(model.silent.remove(at: index))
                    }
                    model.apply(gate.helloCompleted(other, now: now), now: now)
                }
                let busy = gate.counts.handshakes >= handshakes
                if busy, let next = gate.nextCheck {
                    #expect(next == model.handshakes.map(\.since).min().map { $0 + .seconds(1) })
                }
            }
        }
    }

    /// The rules of the gate, as a search through all connections each time.
    private struct Model {
        typealias Connection = (id: Int, address: UInt32, since: NIODeadline)
        var silent: [Connection] = []
        var waiting: [Connection] = []
        var handshakes: [Connection] = []

        func count(_ connections: [Connection], _ address: UInt32) -> Int {
            connections.count { $0.address == address }
        }

        /// Returns the oldest handshake of the address with the most, among the handshakes whose time is up.
        func victim(now: NIODeadline) -> Connection? {
            let overdue = self.handshakes.filter { now - $0.since >= .seconds(1) }
            let counts = overdue.map { self.count(self.handshakes, $0.address) }
            let most = zip(overdue, counts).filter { $0.1 == counts.max() }.map(\.0)
            return most.min { $0.since < $1.since }
        }

        mutating func remove(_ id: Int) {
            self.silent.removeAll { $0.id == id }
            self.waiting.removeAll { $0.id == id }
            self.handshakes.removeAll { $0.id == id }
        }

        mutating func apply(_ actions: [Gate.Action], now: NIODeadline) {
            for (number, action) in actions.enumerated() {
                switch action {
                case .begin(let id):
                    guard let index = self.waiting.firstIndex(where: { $0.id == id }) else {
                        Issue.record("\(id) did not wait")
                        return
                    }
                    let connection = self.waiting.remove(at: index)
                    self.handshakes.append((id, connection.address, now))
                case .close(let id, .handshakes):
                    // A handshake is closed only for a waiting connection, which begins at once. Several may have begun
                    // at the same time as the closed one.
                    guard actions.indices.contains(number + 1), case .begin = actions[number + 1] else {
                        Issue.record("\(id) was closed for no other connection")
                        return
                    }
                    let (found, expected) = (self.handshakes.first { $0.id == id }, self.victim(now: now))
                    #expect(found?.since == expected?.since)
                    #expect(
                        found.map { self.count(self.handshakes, $0.address) }
                            == expected.map { self.count(self.handshakes, $0.address) })
                    self.remove(id)
                case .close(let id, _):
                    let most = self.waiting.map { self.count(self.waiting, $0.address) }.max() ?? 0
                    let oldest = self.silent.first
                    if let oldest, now - oldest.since >= .milliseconds(250) || most <= 1 {
                        #expect(id == oldest.id)
                    } else {
                        // If several addresses have the most waiting connections, any of them.
                        let found = self.waiting.first { $0.id == id }
                        #expect(found.map { self.count(self.waiting, $0.address) } == most)
                        #expect(self.waiting.last { $0.address == found?.address }?.id == id)
                    }
                    self.remove(id)
                }
            }
        }
    }

    @Test("After a failure to accept, the gate accepts again on a retry or when a connection closes")
    func acceptFailure() {
        var gate = self.gate()
        #expect(gate.accepted(1, from: .v4(1), now: self.start) == [])
        #expect(gate.failed(now: self.start + .seconds(1)) == [.close(1, .failure)])
        #expect(!gate.isAccepting)
        gate.retry()
        #expect(gate.isAccepting)
        // No connection is pending, so none is closed.
        #expect(gate.failed(now: self.start + .seconds(1)) == [])
        #expect(gate.closed(1, now: self.start + .seconds(1)) == [])
        #expect(gate.isAccepting)
    }

    /// With any events in any order, also repeated ones, no limit is exceeded, no connection waits while there is a
    /// place that it may have, and all counts return to zero.
    @Test(
        "No limit is ever exceeded, and no connection waits while it could begin", arguments: 0..<200 as Range<UInt64>)
    func limitsHold(seed: UInt64) {
        var random = Seeded(seed)
        let pending = Int.random(in: 1...8, using: &random)
        let handshakes = Int.random(in: 1...6, using: &random)
        let perAddress = Int.random(in: 1...4, using: &random)
        var gate = self.gate(pending: pending, handshakes: handshakes, perAddress: perAddress)
        var now = self.start
        var silent: Set<Int> = []
        var waiting: [Int: UInt32] = [:]
        var handshaking: [Int: UInt32] = [:]
        var open: Set<Int> = []
        var addresses: [Int: UInt32] = [:]
        func apply(_ actions: [Gate.Action]) {
            for action in actions {
                switch action {
                case .begin(let id):
                    #expect(waiting[id] != nil)
                    handshaking[id] = waiting.removeValue(forKey: id)
                case .close(let id, _):
                    #expect(silent.contains(id) || waiting[id] != nil || handshaking[id] != nil)
                    silent.remove(id)
                    waiting[id] = nil
                    handshaking[id] = nil
                }
            }
        }
        for id in 0..<400 {
            now = now + .milliseconds(Int64.random(in: 0...400, using: &random))
            let address = UInt32.random(in: 0..<5, using: &random)
            addresses[id] = address
            silent.insert(id)
            open.insert(id)
            apply(gate.accepted(id, from: .v4(address), now: now))
            for _ in 0..<3 {
                let other = Int.random(in: max(0, id - 14)...id, using: &random)
                switch Int.random(in: 0..<8, using: &random) {
                case 0: apply(gate.failed(now: now))
                case 1: gate.retry()
                case 2, 3:
                    handshaking[other] = nil
                    apply(gate.handshakeCompleted(other, now: now))
                case 4:
                    silent.remove(other)
                    waiting[other] = nil
                    handshaking[other] = nil
                    open.remove(other)
                    apply(gate.closed(other, now: now))
                case 5: apply(gate.checkDeadlines(now: now))
                default:
                    if silent.remove(other) != nil { waiting[other] = addresses[other] }
                    apply(gate.helloCompleted(other, now: now))
                }
            }
            let counts = gate.counts
            #expect(counts.silent == silent.count && counts.waiting == waiting.count)
            #expect(counts.handshakes == handshaking.count && counts.open == open.count)
            #expect(counts.silent + counts.waiting <= pending && counts.handshakes <= handshakes)
            for address in 0..<5 as Range<UInt32> {
                let count = handshaking.values.count { $0 == address }
                #expect(count == gate.handshakeCount(of: .v4(address)) && count <= perAddress)
                let couldBegin = count < perAddress && handshaking.count < handshakes
                #expect(!(couldBegin && waiting.values.contains(address)))
            }
            #expect(gate.addressCount <= 5)
            // A check that is due does something, so that it is not repeated without end.
            if let next = gate.nextCheck, next <= now {
                let actions = gate.checkDeadlines(now: now)
                #expect(!actions.isEmpty)
                apply(actions)
            }
        }
        for id in 0..<400 {
            silent.remove(id)
            waiting[id] = nil
            handshaking[id] = nil
            apply(gate.closed(id, now: now))
        }
        #expect(gate.counts == .init() && gate.addressCount == 0 && gate.isAccepting && gate.nextCheck == nil)
    }
}

/// The queue finds the addresses with the most connections without a search through all of them.
@Suite struct AddressPriorityQueueTests {
    /// A number that counts how often it is compared.
    private struct Counted: Comparable {
        final class Comparisons { var count = 0 }

        var number: Int
        let comparisons: Comparisons

        static func == (left: Self, right: Self) -> Bool { left.number == right.number }
        static func < (left: Self, right: Self) -> Bool {
            left.comparisons.count += 1
            return left.number < right.number
        }
    }

    @Test("Changes among 4096 addresses take at most 36 comparisons each on average")
    func logarithmicCost() {
        var random = Seeded(1)
        let comparisons = Counted.Comparisons()
        var ranked = AddressPriorityQueue<Counted>()
        let addresses = 4096 as UInt32
        for address in 0..<addresses {
            ranked.update(.v4(address), to: Counted(number: Int(address), comparisons: comparisons))
        }
        comparisons.count = 0
        for _ in 0..<10_000 {
            let number = Int.random(in: 0..<5000, using: &random)
            ranked.update(
                .v4(UInt32.random(in: 0..<addresses, using: &random)),
                to: number < 100 ? nil : Counted(number: number, comparisons: comparisons))
            _ = ranked.highest
        }
        // Twelve levels, with two children each.
        #expect(comparisons.count <= 10_000 * 3 * 12)
    }

    @Test("The highest rank is the one that a search through all addresses finds", arguments: 0..<50 as Range<UInt64>)
    func highestRank(seed: UInt64) {
        var random = Seeded(seed)
        var ranked = AddressPriorityQueue<Int>()
        var model: [UInt32: Int] = [:]
        let addresses = UInt32.random(in: 1...60, using: &random)
        for _ in 0..<2000 {
            let address = UInt32.random(in: 0..<addresses, using: &random)
            let rank = Bool.random(using: &random) ? Int.random(in: 0..<20, using: &random) : nil
            ranked.update(.v4(address), to: rank)
            model[address] = rank
            #expect(ranked.count == model.count)
            #expect(ranked.highest?.rank == model.values.max())
            if case .v4(let address)? = ranked.highest?.address { #expect(model[address] == model.values.max()) }
        }
    }
}
