// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestAgent
import GuestSpool
import Logging
import NIOConcurrencyHelpers
import Notifications
import RelayTesting
import Testing

private struct DiskFull: Error, CustomStringConvertible {
    var description: String { "no space left" }
    var underlyingError: (any Error)? = CocoaError(.fileWriteOutOfSpace)
}

/// Tests of what an operation's end puts into the outbox, without a conductor.
@Suite struct WithNotificationTests {
    private let outbox = MemoryOutbox()
    private let agent: GuestAgent
    private let certificates: TestCertificates

    init() throws {
        self.certificates = try TestCertificates()
        self.agent = try GuestAgent(
            configuration: .test(ports: [1], certificates: self.certificates), outbox: self.outbox,
            logger: Logger(label: "test"))
    }

    private func reports() async throws -> [OutcomeReport] {
        try await self.outbox.entries(after: 0, limit: 100).map(\.report)
    }

    @Test("A return is recorded as an end, with the fields that were set in the operation")
    func returnedValue() async throws {
        func deepInside() async { OperationNotification.current?.set("backup_id", to: "b-1") }
        let value = try await self.agent.withNotification(SampleReport.context()) {
            await deepInside()
            async let child: Void = deepInside()
            await child
            return 42
        }
        #expect(value == 42)
        let reports = try await self.reports()
        #expect(reports.map(\.outcome) == [.end(payload: ["backup_id": "b-1"])])
        #expect(reports.first?.context == SampleReport.context())
        #expect(OperationNotification.current == nil)
    }

    @Test("A thrown error is recorded as an error and rethrown")
    func thrownError() async throws {
        await #expect(throws: DiskFull.self) {
            try await self.agent.withNotification(SampleReport.context()) {
                OperationNotification.current?.set("instance_id", to: "inst-1")
                throw DiskFull()
            }
        }
        guard case .error(let exception, let payload)? = try await self.reports().first?.outcome else {
            Issue.record("no error was reported")
            return
        }
        #expect(exception.etype == "DiskFull")
        #expect(exception.value == "no space left")
        #expect(exception.trace.first?.contains("WithNotificationTests.swift:") == true)
        #expect(exception.trace.dropFirst().first?.hasPrefix("caused by") == true)
        #expect(payload == ["instance_id": "inst-1"])
    }

    @Test("A cancelled operation is recorded as an error")
    func cancelledOperation() async throws {
        let began = AsyncStream.makeStream(of: Void.self)
        let task = Task {
            try await self.agent.withNotification(SampleReport.context()) {
                began.continuation.yield()
                try await Task.sleep(for: .seconds(3600))
            }
        }
        _ = await began.stream.first { true }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        guard case .error(let exception, _)? = try await self.reports().first?.outcome else {
            Issue.record("no error was reported")
            return
        }
        #expect(exception.etype == "CancellationError")
    }

    @Test("An outbox that checks for cancellation still records a cancelled operation")
    func cancellationInOutbox() async throws {
        let agent = try GuestAgent(
            configuration: .test(ports: [1], certificates: self.certificates),
            outbox: FaultyOutbox(over: self.outbox), logger: Logger(label: "test"))
        let task = Task {
            try await agent.withNotification(SampleReport.context()) {
                withUnsafeCurrentTask { $0?.cancel() }
                try Task.checkCancellation()
            }
        }
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(try await self.reports().count == 1)
    }

    @Test("Without a context nothing is recorded")
    func missingContext() async throws {
        let value = try await self.agent.withNotification(nil) { OperationNotification.current == nil }
        #expect(value)
        try await self.agent.notify(.end(payload: [:]), context: nil)
        #expect(try await self.agent.counts() == OutboxCounts())
    }

    @Test("Nested operations have fields of their own")
    func nestedOperations() async throws {
        try await self.agent.withNotification(SampleReport.context(dbname: "outer")) {
            OperationNotification.current?.set("a", to: 1)
            try await self.agent.withNotification(SampleReport.context(dbname: "inner")) {
                OperationNotification.current?.set("b", to: 2)
            }
            OperationNotification.current?.set("a", to: 3)
        }
        let reports = try await self.reports()
        #expect(reports.map(\.outcome) == [.end(payload: ["b": 2]), .end(payload: ["a": 3])])
        #expect(Set(reports.map(\.messageID)).count == 2)
    }

    @Test("An operation is rejected and does not run if the outbox is full")
    func fullOutbox() async throws {
        let agent = try GuestAgent(
            configuration: .test(ports: [1], certificates: self.certificates), outbox: MemoryOutbox(capacity: 0),
            logger: Logger(label: "test"))
        let ran = NIOLockedValueBox(false)
        let error = await #expect(throws: OutboxError.self) {
            try await agent.withNotification(SampleReport.context()) { ran.withLockedValue { $0 = true } }
        }
        #expect(error?.code == .full)
        #expect(ran.withLockedValue { !$0 })
    }

    @Test("The number of a notification's fields is limited")
    func fieldLimit() {
        let notification = OperationNotification.sample
        for index in 0..<64 { #expect(notification.set("f\(index)", to: .string("x"))) }
        #expect(!notification.set("one more", to: nil))
        #expect(notification.set("f3", to: "replaced"))
    }

    @Test("An error may provide its own exception info")
    func providedExceptionInfo() {
        struct Python: ExceptionInfoProviding {
            var exceptionInfo: ExceptionInfo { ExceptionInfo(etype: "ValueError", value: "x", trace: ["Traceback"]) }
        }
        #expect(ExceptionInfo(Python()) == Python().exceptionInfo)
    }

    @Test(
        "An invalid configuration is rejected, and the error names the field",
        arguments: ["window", "minimumBackoff", "maximumBackoff", "answerTimeout", "connectTimeout"])
    func invalidConfiguration(field: String) {
        var configuration = GuestAgent.Configuration.test(ports: [1], certificates: self.certificates)
        switch field {
        case "window": configuration.window = 0
        case "minimumBackoff": configuration.minimumBackoff = .zero
        case "maximumBackoff": configuration.maximumBackoff = .milliseconds(1)
        case "answerTimeout": configuration.answerTimeout = .zero
        default: configuration.connectTimeout = .zero
        }
        let error = #expect(throws: GuestAgentError.self) {
            try GuestAgent(configuration: configuration, outbox: MemoryOutbox(), logger: Logger(label: "test"))
        }
        #expect(error?.description.hasPrefix(field) == true)
    }

    @Test("An agent that runs already cannot be run again")
    func concurrentRuns() async throws {
        let ended = AsyncStream.makeStream(of: (any Error)?.self)
        let runs = (1...2).map { _ in
            Task {
                do {
                    try await self.agent.run()
                    ended.continuation.yield(nil)
                } catch {
                    ended.continuation.yield(error)
                }
            }
        }
        // The other run continues until it is cancelled.
        let first = await ended.stream.first { _ in true }
        #expect((first as? GuestAgentError)?.code == .alreadyRunning)
        for run in runs { run.cancel() }
        for run in runs { await run.value }
    }

    @Test("A configuration without conductors is rejected")
    func noConductors() {
        #expect(throws: GuestAgentError.self) {
            try GuestAgent(
                configuration: .test(ports: [], certificates: self.certificates), outbox: MemoryOutbox(),
                logger: Logger(label: "test"))
        }
    }
}
