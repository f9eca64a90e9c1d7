// SPDX-License-Identifier: Apache-2.0

import GuestSpool
import Notifications
import Notifier
import RelayTesting
import Testing

@testable import GuestAgent

/// Tests of ends and errors over one connection, where one kind cannot be published.
@Suite(.timeLimit(.minutes(2))) struct LaneDeliveryTests {
    private static let failure = OperationOutcome.error(
        ExceptionInfo(etype: "Failed", value: "it failed"), payload: ["instance_id": "inst-1"])

    @Test("Ends are delivered while errors are rejected, and the errors follow later")
    func rejectedErrors() async throws {
        let driver = RejectingDriver()
        driver.refuse { $0.priority == .error ? .unavailable : nil }
        try await withConductor(Notifier(drivers: [driver])) { conductor in
            let configuration = GuestAgent.Configuration.test(
                ports: [conductor.port], certificates: conductor.certificates)
            let run = try AgentRun(configuration, MemoryOutbox())
            // More errors than the whole window, and all of them before the first end.
            for _ in 1...300 { try await run.agent.notify(Self.failure, context: SampleReport.context()) }
            await driver.refused(128)
            for _ in 1...1000 { try await run.agent.notify(.end(payload: [:]), context: SampleReport.context()) }
            await driver.published(1000)
            #expect(try await run.agent.counts().waiting >= 300)
            driver.refuse(nil)
            await driver.published(1300)
            try await run.drained()
            let counts = try await run.agent.counts()
            #expect((counts.delivered, counts.waiting, counts.setAside) == (1300, 0, 0))
        }
        #expect(driver.counts.values.allSatisfy { $0 == 1 })
    }

    @Test("An outcome that is never published does not hold up others of its kind")
    func unpublishableOutcome() async throws {
        let driver = RejectingDriver()
        driver.refuse { $0.payload["dbname"] == "poison" ? .rejected : nil }
        try await withConductor(Notifier(drivers: [driver])) { conductor in
            var configuration = GuestAgent.Configuration.test(
                ports: [conductor.port], certificates: conductor.certificates)
            configuration.drainTimeout = .milliseconds(50)
            let run = try AgentRun(configuration, MemoryOutbox())
            try await run.agent.notify(.end(payload: [:]), context: SampleReport.context(dbname: "poison"))
            await driver.refused(1)
            // One after the other: no other outcome is in flight together with the poison.
            for count in 1...200 {
                try await run.agent.notify(.end(payload: [:]), context: SampleReport.context())
                await driver.published(count)
            }
            try await run.drained()
            #expect(try await run.agent.counts().waiting == 1)
        }
        #expect(driver.counts.count == 200)
    }
}
