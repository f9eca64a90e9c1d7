// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import GuestSpool
import Notifications
import RelayTesting
import Testing
import Timing

@testable import GuestAgent

@Suite struct DeliveryLanesStateMachineTests {
    private let now = ContinuousClock.now
    private let published = Result<RPCReply, RPCCallError>.success(.accepted(.init(), .published))
    private let refused = Result<RPCReply, RPCCallError>.failure(
        .rejected(RPCError(.brokerUnavailable, "m", retryAfterMilliseconds: 1000)))

    private func lanes(window: Int = 8) -> DeliveryLanesStateMachine {
        DeliveryLanesStateMachine(
            window: window, backoff: Backoff(minimum: .seconds(1), maximum: .seconds(8)), pollInterval: .seconds(60),
            now: self.now)
    }

    private func entries(_ sequences: ClosedRange<Int64>) -> [OutboxEntry] {
        sequences.map { OutboxEntry(sequence: $0, report: SampleReport.end()) }
    }

    /// Answers a lane's reading with the entries, and the other lane's with none.
    private func read(_ lanes: inout DeliveryLanesStateMachine, _ phase: OperationPhase, _ entries: [OutboxEntry]) {
        for reading in lanes.takeDueReads(now: self.now, isSuspended: false) {
            lanes.recordRead(reading, reading.phase == phase ? entries : [])
        }
    }

    @Test("A lane is read only when it may have outcomes")
    func readAfterArrival() {
        var lanes = self.lanes()
        let first = lanes.takeDueReads(now: self.now, isSuspended: false)
        #expect(first.map(\.phase) == [.end, .error])
        #expect(first.map(\.limit) == [4, 4])
        for reading in first { lanes.recordRead(reading, []) }
        #expect(lanes.isIdle)
        #expect(lanes.takeDueReads(now: self.now, isSuspended: false) == [])
        lanes.recordArrivals([.error])
        #expect(lanes.takeDueReads(now: self.now, isSuspended: true) == [])
        #expect(lanes.takeDueReads(now: self.now, isSuspended: false).map(\.phase) == [.error])
        #expect(!lanes.isIdle)
    }

    @Test("A full reading is followed by another once there is room")
    func fullReading() {
        var lanes = self.lanes()
        self.read(&lanes, .end, self.entries(1...4))
        // There is no room until an outcome is answered.
        #expect(lanes.takeDueReads(now: self.now, isSuspended: false) == [])
        _ = lanes.takeDueOutcomes(now: self.now)
        _ = lanes.recordAnswer(.end, 1, self.published, now: self.now)
        #expect(lanes.takeDueReads(now: self.now, isSuspended: false) == [.init(phase: .end, cursor: 4, limit: 1)])
    }

    @Test("The outbox is read every minute, even if no outcome is announced")
    func pollEveryMinute() {
        var lanes = self.lanes()
        for reading in lanes.takeDueReads(now: self.now, isSuspended: false) { lanes.recordRead(reading, []) }
        #expect(lanes.nextDeadline(now: self.now) == self.now + .seconds(60))
        #expect(lanes.takeDueReads(now: self.now + .seconds(59), isSuspended: false) == [])
        #expect(lanes.takeDueReads(now: self.now + .seconds(60), isSuspended: false).count == 2)
        #expect(lanes.nextDeadline(now: self.now + .seconds(60)) == self.now + .seconds(120))
        // Also while nothing may be read: otherwise the loop would spin.
        _ = lanes.takeDueReads(now: self.now + .seconds(121), isSuspended: true)
        #expect(lanes.nextDeadline(now: self.now + .seconds(121)) > self.now + .seconds(121))
    }

    @Test("A failed reading of the outbox is retried after a pause")
    func failedReading() {
        var lanes = self.lanes()
        lanes.recordReadFailure(now: self.now)
        #expect(lanes.takeDueReads(now: self.now, isSuspended: false) == [])
        let wakeUp = lanes.nextDeadline(now: self.now)
        #expect(wakeUp > self.now && wakeUp <= self.now + .seconds(1))
        #expect(lanes.takeDueReads(now: wakeUp, isSuspended: false).count == 2)
        #expect(!lanes.isIdle)
    }

    @Test("A lane whose outcomes are rejected does not hold up the other lane")
    func rejectedLane() {
        var lanes = self.lanes()
        self.read(&lanes, .error, self.entries(1...4))
        _ = lanes.takeDueOutcomes(now: self.now)
        for sequence in 1...4 as ClosedRange<Int64> {
            #expect(lanes.recordAnswer(.error, sequence, self.refused, now: self.now) == .retry)
        }
        lanes.recordArrivals([.end])
        self.read(&lanes, .end, self.entries(5...7))
        #expect(lanes.takeDueOutcomes(now: self.now).map(\.entry.sequence) == [5, 6, 7])
    }

    @Test(
        "Rejections in one lane change the conductor unless the other lane's outcomes are published",
        arguments: [(nil, true), (.published, false), (.duplicate, true), (.disabled, true)]
            as [(Disposition?, Bool)])
    func changeOfConductor(otherLane status: Disposition?, isChanged: Bool) {
        var lanes = self.lanes()
        self.read(&lanes, .error, self.entries(1...1))
        lanes.recordArrivals([.end])
        self.read(&lanes, .end, self.entries(2...4))
        var now = self.now
        var actions: [DeliveryStateMachine.AnswerAction] = []
        for round in 2...4 as ClosedRange<Int64> {
            _ = lanes.takeDueOutcomes(now: now)
            actions.append(lanes.recordAnswer(.error, 1, self.refused, now: now))
            if let status { _ = lanes.recordAnswer(.end, round, .success(.accepted(.init(), status)), now: now) }
            now += .seconds(10)
        }
        #expect((actions.last == .failover) == isChanged)
    }
}
