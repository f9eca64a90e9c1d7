// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import GuestSpool
import Notifications
import RandomTesting
import RelayTesting
import Testing
import Timing

@testable import GuestAgent

/// An outbox, a network and a conductor that behave at random, around the lanes.
private struct DeliverySimulation {
    private static let window = 6

    var random: Seeded
    var lanes: DeliveryLanesStateMachine
    var now: ContinuousClock.Instant
    /// The sequence numbers in the outbox, by lane, oldest first.
    var outbox: [OperationPhase: [Int64]] = [.end: [], .error: []]
    /// The outcomes that are sent and not answered.
    var inFlight: [(phase: OperationPhase, sequence: Int64)] = []
    /// The outcomes that a connection which has ended may still answer.
    var stale: [(phase: OperationPhase, sequence: Int64)] = []
    var settled: [Int64: Int] = [:]
    var lastSequence: Int64 = 0

    init(seed: UInt64) {
        self.random = Seeded(seed)
        self.now = .now
        self.lanes = DeliveryLanesStateMachine(
            window: Self.window, backoff: Backoff(minimum: .milliseconds(100), maximum: .seconds(2)),
            pollInterval: .seconds(60), now: self.now)
    }

    mutating func arrive() {
        let phase: OperationPhase = Bool.random(using: &self.random) ? .end : .error
        self.lastSequence += 1
        self.outbox[phase, default: []].append(self.lastSequence)
        // Another process puts outcomes back without announcing them.
        if Int.random(in: 0..<10, using: &self.random) > 0 { self.lanes.recordArrivals([phase]) }
    }

    mutating func read(fails: Bool) {
        for reading in self.lanes.takeDueReads(now: self.now, isSuspended: false) {
            guard !fails else {
                self.lanes.recordReadFailure(now: self.now)
                return
            }
            let waiting = (self.outbox[reading.phase] ?? []).filter { $0 > reading.cursor }.prefix(reading.limit)
            self.lanes.recordRead(reading, waiting.map { OutboxEntry(sequence: $0, report: SampleReport.end()) })
        }
    }

    mutating func send() {
        var last: [OperationPhase: Int64] = [:]
        for (phase, entry) in self.lanes.takeDueOutcomes(now: self.now) {
            #expect(!self.inFlight.contains { $0.sequence == entry.sequence }, "in flight twice")
            #expect(self.settled[entry.sequence] == nil, "sent after it was settled")
            #expect(last[phase].map { $0 < entry.sequence } ?? true, "out of order")
            last[phase] = entry.sequence
            self.inFlight.append((phase, entry.sequence))
        }
        #expect(self.inFlight.count <= Self.window, "past the window")
    }

    mutating func answer(_ result: Result<RPCReply, RPCCallError>) {
        guard !self.inFlight.isEmpty else { return }
        let (phase, sequence) = self.inFlight.remove(at: .random(in: 0..<self.inFlight.count, using: &self.random))
        switch self.lanes.recordAnswer(phase, sequence, result, now: self.now) {
        case .remove(let removed), .setAside(let removed, _):
            #expect(removed == sequence)
            self.settled[removed, default: 0] += 1
            self.outbox[phase]?.removeAll { $0 == removed }
        case .failover, .disconnect:
            self.connectionEnds()
            self.lanes.recordConductorChange()
        case .retry: break
        case .ignore: Issue.record("an answer to what is in flight was ignored")
        }
    }

    mutating func connectionEnds() {
        self.stale = self.inFlight
        self.inFlight = []
        self.lanes.recordConnectionEnd()
    }

    mutating func answerLate(_ result: Result<RPCReply, RPCCallError>) {
        for (phase, sequence) in self.stale where !self.inFlight.contains(where: { $0.sequence == sequence }) {
            #expect(self.lanes.recordAnswer(phase, sequence, result, now: self.now) == .ignore)
        }
    }

    mutating func anyAnswer() -> Result<RPCReply, RPCCallError> {
        let codes: [RPCError.Code] = [.brokerUnavailable, .internal, .rateLimited, .unknownEvent, .unauthenticated]
        switch Int.random(in: 0..<10, using: &self.random) {
        case 0...1: return .success(.accepted(.init(), .published))
        case 2: return .success(.accepted(.init(), .duplicate))
        case 3: return .failure(.connectionLost("gone"))
        case let number:
            let retryAfter = [nil, 0, -1, 700, Int.max].randomElement(using: &self.random) ?? nil
            return .failure(.rejected(RPCError(codes[number % 5], "m", retryAfterMilliseconds: retryAfter)))
        }
    }

    mutating func step() {
        switch Int.random(in: 0..<12, using: &self.random) {
        case 0...1: self.arrive()
        case 2...3: self.read(fails: false)
        case 4: self.read(fails: true)
        case 5...6: self.send()
        case 7...8:
            let answer = self.anyAnswer()
            self.answer(answer)
        case 9: self.now += .milliseconds(Int64.random(in: 0..<3000, using: &self.random))
        case 10:
            let answer = self.anyAnswer()
            self.answerLate(answer)
        default: if Int.random(in: 0..<4, using: &self.random) == 0 { self.connectionEnds() }
        }
    }

    /// Continues without faults: every outcome must be answered, with no more wake-ups than there can be reasons for.
    mutating func recover() {
        for _ in 0..<10_000 where self.settled.count < Int(self.lastSequence) {
            self.read(fails: false)
            self.send()
            while !self.inFlight.isEmpty { self.answer(.success(.accepted(.init(), .published))) }
            self.read(fails: false)
            if self.settled.count < Int(self.lastSequence) {
                self.now = max(self.now, self.lanes.nextDeadline(now: self.now))
            }
        }
    }
}

@Suite struct DeliveryPropertyTests {
    @Test(
        "Every outcome is removed or set aside exactly once, whatever faults occur",
        arguments: 0..<300 as Range<UInt64>)
    func randomFaults(seed: UInt64) {
        var simulation = DeliverySimulation(seed: seed)
        for _ in 0..<400 { simulation.step() }
        simulation.recover()
        #expect(simulation.settled.count == Int(simulation.lastSequence))
        #expect(simulation.settled.values.allSatisfy { $0 == 1 })
        #expect(simulation.outbox.values.allSatisfy { $0.isEmpty })
    }
}
