// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import ConductorService
import GuestSpool
import LogTesting
import Logging
import NIOCore
import Notifications
import Notifier
import ProcessTesting
import RelayTesting
import Testing

@testable import GuestAgent

/// An agent whose conductor does not accept it, or has reached its connection limit.
@Suite(.timeLimit(.minutes(2))) struct UnknownGuestTests {
    private static func strange() throws -> GuestAuthorization {
        GuestAuthorization(source: .spiffe(try #require(TrustDomain("another.example"))))
    }

    private func agent(
        _ configuration: GuestAgent.Configuration, _ log: LogRecorder, outcomes: Int = 0
    ) async throws -> AgentRun {
        let agent = try GuestAgent(configuration: configuration, outbox: MemoryOutbox(), logger: log.logger("agent"))
        for _ in 0..<outcomes { try await agent.notify(.end(payload: [:]), context: SampleReport.context()) }
        return AgentRun(agent, log.logger("group"))
    }

    /// An operator configures the conductor wrongly, and corrects it later.
    @Test("Outcomes wait until the conductor's configuration is corrected")
    func misconfiguredConductor() async throws {
        let (driver, log, certificates) = (RejectingDriver(), LogRecorder(), try TestCertificates())
        let reserved = try ReservedPort()
        defer { withExtendedLifetime(reserved) {} }
        let run = try await withConductor(
            Notifier(drivers: [driver]), certificates: certificates, port: reserved.port,
            authorization: Self.strange()
        ) { wrong in
            var configuration = GuestAgent.Configuration.test(ports: [wrong.port], certificates: certificates)
            configuration.drainTimeout = .seconds(60)
            // A larger backlog than the window.
            configuration.window = 8
            let run = try await self.agent(configuration, log, outcomes: 50)
            let entry = await log.next("Conductor rejected this guest's certificate")
            #expect(entry.level == .error && entry.metadata["reason"]?.contains("trust domain") == true)
            #expect(entry.metadata["remedy"]?.contains("tls.certificate") == true)
            // A second time, after the time that the conductor asked for.
            let again = await log.next("Conductor rejected this guest's certificate")
            #expect(again.level == .info)
            // It does not spin: two connections, and no more than its window over each.
            #expect(wrong.counters.rejected == ["unauthenticated": wrong.counters.received])
            #expect(wrong.counters.received <= 16)
            #expect(log.count("Connected to a conductor") == 2)
            let counts = try await run.agent.counts()
            #expect((counts.delivered, counts.waiting, counts.setAside) == (0, 50, 0))
            return run
        }
        #expect(driver.counts.isEmpty)
        try await ReservedPort.becomesFree(reserved.port)
        try await withConductor(Notifier(drivers: [driver]), certificates: certificates, port: reserved.port) { _ in
            await driver.published(50)
            try await run.drained()
            let counts = try await run.agent.counts()
            #expect((counts.delivered, counts.waiting, counts.setAside) == (50, 0, 0))
        }
        #expect(driver.counts.count == 50)
    }

    @Test("Outcomes are delivered to another conductor that accepts the guest")
    func acceptingConductor() async throws {
        let (first, second, log) = (RejectingDriver(), RejectingDriver(), LogRecorder())
        let certificates = try TestCertificates()
        try await withConductor(
            Notifier(drivers: [first]), certificates: certificates, authorization: Self.strange()
        ) { wrong in
            try await withConductor(Notifier(drivers: [second]), certificates: certificates) { right in
                let run = try await self.agent(
                    .test(ports: [wrong.port, right.port], certificates: certificates), log, outcomes: 20)
                await second.published(20)
                try await run.drained()
                #expect(try await run.agent.counts().delivered == 20)
                #expect(log.count("Conductor rejected this guest's certificate") == 1)
            }
        }
        #expect(first.counts.isEmpty)
    }

    /// A rejected guest must not prevent the program from ending.
    @Test("An agent that its conductor rejects stops after its drain timeout")
    func stopWhenRejected() async throws {
        let (log, certificates) = (LogRecorder(), try TestCertificates())
        try await withConductor(
            Notifier(drivers: [RejectingDriver()]), certificates: certificates, authorization: Self.strange()
        ) { wrong in
            var configuration = GuestAgent.Configuration.test(ports: [wrong.port], certificates: certificates)
            configuration.drainTimeout = .milliseconds(100)
            let run = try await self.agent(configuration, log, outcomes: 3)
            await log.next("Conductor rejected this guest's certificate")
            try await run.drained()
            let counts = try await run.agent.counts()
            #expect((counts.delivered, counts.waiting, counts.setAside) == (0, 3, 0))
        }
    }

    /// The conductor states when this guest may connect again, and the agent does not connect before. It delivers to
    /// the other conductor without waiting for that.
    @Test("A conductor at its connection limit is not contacted before the time that it asks for")
    func connectionLimit() async throws {
        let (first, second) = (RejectingDriver(), RejectingDriver())
        let certificates = try TestCertificates()
        try await withConductor(Notifier(drivers: [first]), certificates: certificates) {
            $0.limits.connectionsPerGuest = 1
        } _: { full in
            // Another client with this guest's certificate, which stays connected.
            let occupant = try await full.connect()
            _ = try await occupant.call(.ping)
            try await withConductor(Notifier(drivers: [second]), certificates: certificates) { free in
                let run = try await self.agent(
                    .test(ports: [full.port, free.port], certificates: certificates), LogRecorder(), outcomes: 5)
                await second.published(5)
                try await run.drained()
            }
            let clock = ContinuousClock()
            let begun = clock.now
            var configuration = GuestAgent.Configuration.test(ports: [full.port], certificates: certificates)
            configuration.drainTimeout = .seconds(60)
            let log = LogRecorder()
            let run = try await self.agent(configuration, log, outcomes: 1)
            let end = await log.next("Connection ended")
            #expect(end.metadata["reason"]?.contains("Too many connections") == true, "\(end)")
            await occupant.close()
            await first.published(1)
            // The pause that the conductor asked for; with its own pauses the agent would have been back in 50 ms.
            #expect(clock.now - begun >= .seconds(9))
            try await run.drained()
        }
    }
}
