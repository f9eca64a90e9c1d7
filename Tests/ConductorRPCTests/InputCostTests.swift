// SPDX-License-Identifier: Apache-2.0

import RandomTesting
import Testing

@testable import ConductorRPC

@Suite struct RecordChargeStateMachineTests {
    @Test("Records of one byte cost tokens")
    func oneByteRecords() {
        var charge = RecordChargeStateMachine()
        // Each record lacks 511 bytes.
        var tokens = 0
        for count in 1...1600 as ClosedRange<UInt64> { tokens += charge.read(upTo: count, bytes: 1, lines: 0) }
        #expect(tokens == 99)
    }

    @Test("Many records in one read cost as much as the same records one by one")
    func recordsAtOnce() {
        var charge = RecordChargeStateMachine()
        #expect(charge.read(upTo: 1600, bytes: 1600, lines: 0) == 99)
        #expect(charge.read(upTo: 1600, bytes: 0, lines: 0) == 0)
    }

    @Test("Records of honest peers cost nothing")
    func honestPeers() {
        var charge = RecordChargeStateMachine()
        var tokens = 0
        // A line in each record; a line whose end has its own record; a long line in records the size of packets.
        for count in 1...1000 as ClosedRange<UInt64> { tokens += charge.read(upTo: count, bytes: 200, lines: 1) }
        for count in 1001...2000 as ClosedRange<UInt64> {
            tokens += charge.read(upTo: count, bytes: 1, lines: count.isMultiple(of: 2) ? 1 : 0)
        }
        for count in 2001...3000 as ClosedRange<UInt64> { tokens += charge.read(upTo: count, bytes: 1300, lines: 0) }
        #expect(tokens == 0)
        // Without TLS there are no records.
        #expect(charge.read(upTo: 0, bytes: 1, lines: 0) == 0)
    }

    @Test("Bytes and lines that were read earlier do not pay for later records")
    func noCredit() {
        var charge = RecordChargeStateMachine()
        #expect(charge.read(upTo: 1, bytes: 1 << 20, lines: 1000) == 0)
        #expect(charge.read(upTo: 1 + 32, bytes: 32, lines: 0) == 1)
    }
}

@Suite struct BufferedInputStateMachineTests {
    @Test("The connection that holds the most input is closed, and its bytes no longer count")
    func mostInput() {
        var input = BufferedInputStateMachine<Int>(limit: 100)
        #expect(input.changed(1, to: 60) == [])
        #expect(input.changed(2, to: 40) == [])
        #expect(input.changed(3, to: 1) == [1])
        #expect(input.total == 41 && input.count == 2)
        #expect(input.changed(2, to: 10) == [])
        #expect(input.changed(2, to: 0) == [])
        #expect(input.total == 1 && input.count == 1)
        // Its own end is recorded later.
        #expect(input.changed(1, to: 0) == [])
        #expect(input.total == 1)
    }

    @Test("Of connections that hold the same amount, the one that began first is closed")
    func equalInput() {
        var input = BufferedInputStateMachine<Int>(limit: 100)
        for id in 1...3 { #expect(input.changed(id, to: 30) == []) }
        // The first has ended its line, and begun another.
        #expect(input.changed(1, to: 0) == [])
        #expect(input.changed(1, to: 30) == [])
        #expect(input.changed(4, to: 11) == [2])
    }

    /// With any changes, the total is right and never above the limit, and a connection that holds less than others is
    /// not closed for them.
    @Test(
        "The total is right and within the limit, and only the largest holder is closed",
        arguments: 0..<50 as Range<UInt64>)
    func totalHolds(seed: UInt64) {
        var random = Seeded(seed)
        var input = BufferedInputStateMachine<Int>(limit: 1000)
        var held: [Int: Int] = [:]
        for _ in 0..<500 {
            let (id, bytes) = (Int.random(in: 0..<20, using: &random), Int.random(in: 0...300, using: &random))
            held[id] = bytes == 0 ? nil : bytes
            for id in input.changed(id, to: bytes) {
                #expect(held[id] == held.values.max())
                held[id] = nil
            }
            #expect(input.total == held.values.reduce(0, +) && input.total <= 1000 && input.count == held.count)
        }
    }
}
