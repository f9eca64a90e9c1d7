// SPDX-License-Identifier: Apache-2.0

import GuestSpool
import Logging
import NIOConcurrencyHelpers
import Notifications
import Notifier
import RelayTesting
import Testing
import Timing

@testable import GuestAgent

/// Tests of delivery while the outbox's disk fails.
@Suite(.timeLimit(.minutes(2))) struct FaultyDiskTests {
    /// Runs an agent with the outbox and a conductor, then lets it drain.
    private func run(
        _ driver: any NotificationDriver, _ outbox: any Outbox, pollInterval: Duration = .seconds(60),
        _ body: (GuestAgent) async throws -> Void
    ) async throws {
        try await withConductor(Notifier(drivers: [driver])) { conductor in
            var configuration = GuestAgent.Configuration.test(
                ports: [conductor.port], certificates: conductor.certificates)
            configuration.pollInterval = pollInterval
            let run = try AgentRun(configuration, outbox)
            try await body(run.agent)
            try await run.drained()
        }
    }

    @Test("A delivered outcome that cannot be removed is not sent again")
    func failedRemoval() async throws {
        let driver = RejectingDriver()
        let memory = MemoryOutbox()
        let outbox = FaultyOutbox(over: memory, failures: [.remove: .max])
        try await self.run(driver, outbox) { agent in
            for _ in 1...300 { try await agent.notify(.end(payload: [:]), context: SampleReport.context()) }
            await driver.published(300)
            // More than a window was delivered, although the disk has rejected every removal.
            await outbox.wasCalled(.remove, 3)
            #expect(try await agent.counts().waiting == 300)
            outbox.repair()
        }
        #expect(driver.counts.values.allSatisfy { $0 == 1 })
        let counts = try await memory.counts()
        #expect((counts.delivered, counts.waiting) == (300, 0))
    }

    @Test("An outcome that cannot be set aside does not hold up others")
    func failedSetAside() async throws {
        let driver = RejectingDriver()
        let memory = MemoryOutbox()
        let outbox = FaultyOutbox(over: memory, failures: [.setAside: .max])
        try await self.run(driver, outbox) { agent in
            var unknown = SampleReport.context()
            unknown.operation = "no_such_operation"
            try await agent.notify(.end(payload: [:]), context: unknown)
            await outbox.wasCalled(.setAside, 2)
            try await agent.notify(.end(payload: [:]), context: SampleReport.context())
            await driver.published(1)
            outbox.repair()
        }
        let counts = try await memory.counts()
        #expect((counts.delivered, counts.setAside, counts.waiting) == (1, 1, 0))
    }

    @Test("No outcome is lost when the outbox cannot be read for a while")
    func failedReads() async throws {
        let driver = RejectingDriver()
        let outbox = FaultyOutbox(over: MemoryOutbox(), failures: [.entries: 5])
        try await self.run(driver, outbox) { agent in
            for _ in 1...10 { try await agent.notify(.end(payload: [:]), context: SampleReport.context()) }
            await driver.published(10)
        }
        #expect(driver.counts.values.allSatisfy { $0 == 1 })
    }

    @Test("Sending continues while a removal is in progress")
    func sendDuringRemoval() async throws {
        let driver = RejectingDriver()
        let outbox = FaultyOutbox(over: MemoryOutbox())
        let gate = AsyncStream.makeStream(of: Void.self)
        outbox.before(.remove) { _ = await gate.stream.first { true } }
        try await self.run(driver, outbox) { agent in
            try await agent.notify(.end(payload: [:]), context: SampleReport.context())
            await outbox.wasCalled(.remove, 1)
            for _ in 1...50 { try await agent.notify(.end(payload: [:]), context: SampleReport.context()) }
            await driver.published(51)
            // One transaction is in progress; the outcomes that were answered meanwhile form the next one.
            #expect(outbox.calls(.remove) == 1)
            gate.continuation.finish()
        }
        #expect(driver.counts.values.allSatisfy { $0 == 1 })
    }

    @Test("An outcome that another process puts into the outbox is found and delivered")
    func outcomeOfAnotherProcess() async throws {
        let driver = RejectingDriver()
        let memory = MemoryOutbox()
        try await self.run(driver, memory, pollInterval: .milliseconds(50)) { agent in
            try await agent.notify(.end(payload: [:]), context: SampleReport.context())
            await driver.published(1)
            // Without announcing it to the agent.
            let report = SampleReport.end()
            try await memory.begin(BegunOperation(messageID: report.messageID, context: report.context))
            try await memory.finish(report)
            await driver.published(2)
        }
    }

    @Test("The reason of a pending rejection is limited to 1000 bytes")
    func rejectionReasonLimit() {
        var pending = PendingAcknowledgementsStateMachine(backoff: Backoff(minimum: .seconds(1), maximum: .seconds(8)))
        pending.addRejection(1, reason: String(repeating: "\u{0}é", count: 100_000))
        #expect(pending.takeBatch(now: .now)?.rejections.first.map { $0.reason.utf8.count <= 1000 } == true)
    }

    @Test("The number of pending acknowledgements is limited")
    func pendingAcknowledgementsLimit() {
        var pending = PendingAcknowledgementsStateMachine(backoff: Backoff(minimum: .seconds(1), maximum: .seconds(8)))
        var now = ContinuousClock.now
        pending.addRemovals(Array(1...65_536))
        #expect(!pending.isBelowLimit)
        let batch = pending.takeBatch(now: now)
        #expect(batch?.removals == Array(1...1024))
        #expect(pending.takeBatch(now: now) == nil)
        pending.recordResult(failed: batch ?? .init(), now: now)
        #expect(pending.takeBatch(now: now) == nil)
        #expect(!pending.isBelowLimit)
        now += .seconds(8)
        while let batch = pending.takeBatch(now: now) {
            #expect(!pending.isEmpty)
            pending.recordResult(failed: .init(), now: now)
            #expect(batch.removals.count == 1024)
        }
        #expect(pending.isEmpty && pending.isBelowLimit)
    }

    @Test("A rejection that cannot be recorded does not hold up the others")
    func failedRejection() {
        var pending = PendingAcknowledgementsStateMachine(backoff: Backoff(minimum: .seconds(1), maximum: .seconds(8)))
        for sequence in 1...3 { pending.addRejection(Int64(sequence), reason: "r") }
        var now = ContinuousClock.now
        var told: [Int64] = []
        for _ in 1...3 {
            guard var batch = pending.takeBatch(now: now) else { break }
            // As the recorder does: up to the first that fails.
            let end = batch.rejections.firstIndex { $0.sequence == 1 } ?? batch.rejections.endIndex
            told += batch.rejections[..<end].map(\.sequence)
            batch.rejections.removeFirst(end)
            pending.recordResult(failed: batch, now: now)
            now += .seconds(8)
        }
        #expect(told == [2, 3])
    }

    @Test("An agent stops without waiting until the outbox is verified", .timeLimit(.minutes(1)))
    func stopDuringVerify() async throws {
        let driver = RejectingDriver()
        let outbox = SlowlyVerifiedOutbox()
        try await self.run(driver, outbox) { _ in await outbox.verifying.wait() }
    }
}

/// An outbox that takes an hour to verify.
private final class SlowlyVerifiedOutbox: Outbox {
    private let outbox = MemoryOutbox()
    let verifying = WakeSignal()

    func verify() async throws {
        self.verifying.signal()
        try await Task.sleep(for: .seconds(3600))
    }

    func begin(_ operation: BegunOperation) async throws { try await self.outbox.begin(operation) }
    func finish(_ report: OutcomeReport) async throws { try await self.outbox.finish(report) }
    func entries(_ phase: OperationPhase?, after sequence: Int64, limit: Int) async throws -> [OutboxEntry] {
        try await self.outbox.entries(phase, after: sequence, limit: limit)
    }
    func remove(_ sequences: [Int64]) async throws { try await self.outbox.remove(sequences) }
    func setAside(_ sequence: Int64, reason: String) async throws {
        try await self.outbox.setAside(sequence, reason: reason)
    }
    func counts() async throws -> OutboxCounts { try await self.outbox.counts() }
}
