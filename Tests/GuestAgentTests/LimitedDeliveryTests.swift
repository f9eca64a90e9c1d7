// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import ConductorService
import GuestSpool
import LogTesting
import Logging
import NIOCore
import Notifications
import Notifier
import RelayTesting
import Testing

@testable import GuestAgent

/// An agent whose conductor limits its rate.
@Suite(.timeLimit(.minutes(2))) struct LimitedDeliveryTests {
    /// The agent's window is many times its rate limit. Still, every outcome is published once, and none is set aside.
    @Test("A backlog is delivered completely under a low rate limit")
    func backlogUnderRateLimit() async throws {
        let driver = RejectingDriver()
        try await withConductor(Notifier(drivers: [driver])) {
            $0.limits.rates.requestsPerSecond = 20
            $0.limits.rates.requestsBurst = 20
        } _: { conductor in
            let logger = Logger.quiet
            let agent = try GuestAgent(
                configuration: .test(ports: [conductor.port], certificates: conductor.certificates),
                outbox: MemoryOutbox(), logger: logger)
            // Before the agent runs, so that it has all of them to send at once.
            for number in 1...100 {
                if number.isMultiple(of: 3) {
                    try await agent.notify(
                        .error(ExceptionInfo(etype: "Failed", value: ""), payload: [:]), context: SampleReport.context()
                    )
                } else {
                    try await agent.notify(.end(payload: [:]), context: SampleReport.context())
                }
            }
            let run = AgentRun(agent, logger)
            await driver.published(100)
            try await run.drained()
            let counts = try await agent.counts()
            #expect((counts.delivered, counts.waiting, counts.setAside) == (100, 0, 0))
            let counters = conductor.counters
            #expect(counters.isBalanced && counters.published == 100)
            #expect(counters.rejected["rate_limited", default: 0] > 0)
            #expect(counters.rejected["rate_limited"] == counters.rejectedTotal)
        }
        #expect(driver.counts.values.allSatisfy { $0 == 1 })
    }

    /// A conductor that closes idle connections has not failed: the next outcome is sent over a new connection.
    @Test("An agent whose idle connection was closed connects again for the next outcome")
    func reconnectAfterIdle() async throws {
        let driver = RejectingDriver()
        try await withConductor(Notifier(drivers: [driver])) {
            $0.connection.idleTimeout = .milliseconds(50)
        } _: { conductor in
            let run = try AgentRun(.test(ports: [conductor.port], certificates: conductor.certificates), MemoryOutbox())
            for count in 1...5 {
                try await run.agent.notify(.end(payload: [:]), context: SampleReport.context())
                await driver.published(count)
                while conductor.connections.connections > 0 { try await Task.sleep(for: .milliseconds(1)) }
            }
            try await run.drained()
            #expect(try await run.agent.counts().delivered == 5)
        }
    }
}
