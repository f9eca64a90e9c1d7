// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import ConductorService
import GuestSpool
import Logging
import NIOCore
import Notifier
import RelayTesting
import Testing

@testable import GuestAgent

/// An agent whose conductor limits its rate.
@Suite(.timeLimit(.minutes(2))) struct LimitedDeliveryTests {
    /// Its window is many times its rate limit, and everything goes through all the same, once, and nothing is set
    /// aside.
    @Test func aBacklogDrainsThroughASmallShare() async throws {
        let driver = ScoreDriver()
        try await withConductor(Notifier(drivers: [driver])) {
            $0.limits.rates.requestsPerSecond = 20
            $0.limits.rates.requestsBurst = 20
        } _: { conductor in
            let logger = Logger(label: "agent") { _ in SwiftLogNoOpLogHandler() }
            let agent = try GuestAgent(
                configuration: .test(ports: [conductor.port], certificates: conductor.certificates),
                outbox: MemoryOutbox(), logger: logger)
            // Before it runs, so that it has them all to send at once.
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

    /// A conductor that closes quiet connections is no conductor that fails: the next outcome finds another connection.
    @Test func aConnectionThatWasClosedForBeingQuietIsMadeAgain() async throws {
        let driver = ScoreDriver()
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
