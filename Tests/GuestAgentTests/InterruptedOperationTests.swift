// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import ConductorService
import GuestSpool
import LogTesting
import Logging
import NIOConcurrencyHelpers
import NIOCore
import Notifications
import Notifier
import RelayTesting
import Testing

@testable import GuestAgent

/// Agents with one spool, the first of which ends while its operations run.
@Suite(.timeLimit(.minutes(2))) struct InterruptedOperationTests {
    private let logger = Logger.quiet

    @Test("An operation that ran when the agent ended is reported once, under its own message id")
    func interruptedOperations() async throws {
        let certificates = try TestCertificates()
        let directory = certificates.path("spool")
        let spool = try await Spool.open(directory, logger: self.logger)
        let outbox = FaultyOutbox(over: spool)
        let first = try GuestAgent(
            configuration: .test(ports: [1], certificates: certificates), outbox: outbox, logger: self.logger)
        for _ in 1...10 { try await first.notify(.end(payload: [:]), context: SampleReport.context()) }
        let ended = Set(outbox.begun)

        let gate = AsyncStream.makeStream(of: Void.self)
        let operations = (1...10).map { _ in
            Task {
                try await first.withNotification(SampleReport.context()) {
                    // Returns in all operations when the stream is finished.
                    for await _ in gate.stream {}
                }
            }
        }
        await outbox.wasCalled(.begin, 20)
        while outbox.begun.count < 20 { await Task.yield() }
        try await spool.close()
        // For the spool the agent has ended: the outcomes of its operations come too late.
        gate.continuation.finish()
        for operation in operations {
            await #expect(throws: OutboxError.self) { try await operation.value }
        }

        let heir = try await Spool.open(directory, logger: self.logger)
        let driver = TestDriver()
        try await withConductor(Notifier(drivers: [driver]), certificates: certificates) { conductor in
            let run = try AgentRun(.test(ports: [conductor.port], certificates: certificates), heir)
            try await run.drained()
        }
        let counts = try await heir.counts()
        #expect(counts.isBalanced && counts.delivered == 20 && counts.running == 0 && counts.waiting == 0)
        try await heir.close()
        #expect(driver.notifications.count == 20)
        #expect(Set(driver.notifications.map(\.messageID)) == Set(outbox.begun))
        for notification in driver.notifications {
            let wasEnded = ended.contains(notification.messageID)
            #expect(notification.priority == (wasEnded ? .info : .error))
            let exception = notification.payload["exception"].map { "\($0)" } ?? ""
            #expect(exception.contains(Spool.interruptedType) != wasEnded)
        }
    }

    @Test("Outcomes that were not delivered before a crash are delivered after it")
    func deliveryAfterCrash() async throws {
        let certificates = try TestCertificates()
        let directory = certificates.path("spool")
        let (silent, driver) = (HeldDriver(), TestDriver())
        let first = try await Spool.open(directory, logger: self.logger)
        let outbox = FaultyOutbox(over: first)
        try await withConductor(Notifier(drivers: [silent]), certificates: certificates) {
            $0.connection.drainTimeout = .milliseconds(10)
        } _: { conductor in
            let run = try AgentRun(.test(ports: [conductor.port], certificates: certificates), outbox)
            for _ in 1...10 { try await run.agent.notify(.end(payload: [:]), context: SampleReport.context()) }
            await silent.received(10)
            await run.abandoned()
        }
        silent.release()
        try await first.close()
        let second = try await Spool.open(directory, logger: self.logger)
        try await withConductor(Notifier(drivers: [driver]), certificates: certificates) { conductor in
            let run = try AgentRun(.test(ports: [conductor.port], certificates: certificates), second)
            try await run.drained()
        }
        #expect(driver.notifications.map(\.messageID) == outbox.begun)
        #expect(try await second.counts().delivered == 10)
        try await second.close()
    }
}
