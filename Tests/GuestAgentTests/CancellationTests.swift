// SPDX-License-Identifier: Apache-2.0

import GuestSpool
import LogTesting
import Logging
import NIOConcurrencyHelpers
import Notifications
import RelayTesting
import Testing

@testable import GuestAgent

/// Tests of the results for an operation's caller and the outbox if the caller is cancelled or the disk fails.
@Suite struct CancellationTests {
    enum Point: CaseIterable, Sendable { case before, duringBegin, duringOperation, duringFinish }

    private let memory = MemoryOutbox()
    private let outbox: FaultyOutbox
    private let log = LogRecorder()
    private let certificates: TestCertificates

    init() throws {
        self.certificates = try TestCertificates()
        self.outbox = FaultyOutbox(over: self.memory)
    }

    private func agent(_ outbox: any Outbox) throws -> GuestAgent {
        try GuestAgent(
            configuration: .test(ports: [1], certificates: self.certificates), outbox: outbox,
            logger: self.log.logger("agent"))
    }

    @Test(
        "An operation's outcome is recorded once, at whatever point its caller is cancelled",
        arguments: Point.allCases, [false, true])
    func cancelledCaller(point: Point, heeds: Bool) async throws {
        let agent = try self.agent(self.outbox)
        let caller = NIOLockedValueBox<Task<Void, any Error>?>(nil)
        let cancel: @Sendable () -> Void = { caller.withLockedValue { $0?.cancel() } }
        if point == .duringBegin { self.outbox.before(.begin, cancel) }
        if point == .duringFinish { self.outbox.before(.finish, cancel) }
        let ran = NIOLockedValueBox(0)
        let gate = AsyncStream.makeStream(of: Void.self)
        let task = Task {
            for await _ in gate.stream { break }
            if point == .before { cancel() }
            try await agent.withNotification(SampleReport.context()) {
                ran.withLockedValue { $0 += 1 }
                if point == .duringOperation { cancel() }
                if heeds { try Task.checkCancellation() }
            }
        }
        caller.withLockedValue { $0 = task }
        gate.continuation.finish()
        let result = await task.result
        let isError = heeds && point != .duringFinish
        switch result {
        case .success: #expect(!isError)
        case .failure(let error): #expect(isError && error is CancellationError, "\(error)")
        }
        #expect(ran.withLockedValue { $0 } == 1)
        let counts = try await self.memory.counts()
        #expect((counts.begun, counts.running, counts.waiting) == (1, 0, 1))
        let reports = try await self.memory.entries(after: 0, limit: 10).map(\.report)
        #expect(reports.map(\.messageID) == self.outbox.begun)
        #expect(reports.map(\.outcome.phase) == [isError ? .error : .end])
    }

    @Test("An operation that cannot begin does not run")
    func failedBegin() async throws {
        let agent = try self.agent(FaultyOutbox(over: self.memory, failures: [.begin: 1]))
        let ran = NIOLockedValueBox(false)
        await #expect(throws: FaultyOutbox.DiskError.self) {
            try await agent.withNotification(SampleReport.context()) { ran.withLockedValue { $0 = true } }
        }
        #expect(ran.withLockedValue { !$0 })
        #expect(try await self.memory.counts() == OutboxCounts())
    }

    @Test("A success that cannot be recorded throws to its caller")
    func unrecordedSuccess() async throws {
        let agent = try self.agent(FaultyOutbox(over: self.memory, failures: [.finish: 1]))
        let ran = NIOLockedValueBox(false)
        await #expect(throws: FaultyOutbox.DiskError.self) {
            try await agent.withNotification(SampleReport.context()) { ran.withLockedValue { $0 = true } }
        }
        #expect(ran.withLockedValue { $0 })
        // The outbox lists it as running, and a spool would report it as interrupted.
        #expect(try await self.memory.counts().running == 1)
    }

    @Test("A failure that cannot be recorded is still thrown, and is logged as critical")
    func unrecordedFailure() async throws {
        struct OperationFailed: Error {}
        let agent = try self.agent(FaultyOutbox(over: self.memory, failures: [.finish: 1]))
        await #expect(throws: OperationFailed.self) {
            try await agent.withNotification(SampleReport.context()) { throw OperationFailed() }
        }
        #expect(self.log.entries.map(\.level) == [.critical])
    }
}
