// SPDX-License-Identifier: Apache-2.0

import BrokerTesting
import ConductorRPC
import ConductorService
import GuestSpool
import NIOCore
import Notifications
import Notifier
import RelayTesting
import Testing

@testable import GuestAgent

/// An agent with two conductors, which fail and recover.
@Suite(.timeLimit(.minutes(2))) struct FailoverTests {
    enum ConductorFailure: CaseIterable, Sendable { case cut, blackHole, hang }

    private func configuration(_ ports: [Int], _ certificates: TestCertificates) -> GuestAgent.Configuration {
        var configuration = GuestAgent.Configuration.test(ports: ports, certificates: certificates)
        configuration.answerTimeout = .seconds(3)
        // On a slow machine a good conductor must not be skipped.
        configuration.connectTimeout = .seconds(5)
        configuration.drainTimeout = .seconds(60)
        return configuration
    }

    @Test(
        "A second conductor receives the outcomes that the first has not answered",
        arguments: ConductorFailure.allCases)
    func unansweredOutcomes(failure: ConductorFailure) async throws {
        let (first, second) = (HeldDriver(), RejectingDriver())
        let certificates = try TestCertificates()
        let outbox = FaultyOutbox(over: MemoryOutbox())
        try await withConductor(Notifier(drivers: [first]), certificates: certificates) {
            $0.connection.drainTimeout = .milliseconds(10)
        } _: { dying in
            try await TCPProxy.with(targetPort: UInt16(dying.port)) { proxy in
                try await withConductor(Notifier(drivers: [second]), certificates: certificates) { heir in
                    let run = try AgentRun(self.configuration([proxy.port, heir.port], certificates), outbox)
                    for _ in 1...300 { try await run.agent.notify(.end(payload: [:]), context: SampleReport.context()) }
                    // The first conductor has received a full window of outcomes, and has answered none.
                    await first.received(128)
                    switch failure {
                    case .cut:
                        proxy.set(.swallow)
                        proxy.cut()
                    case .blackHole: proxy.set(.swallow)
                    case .hang: proxy.set(.stall)
                    }
                    await second.published(1)
                    // Too late: the connection that these answers belong to has ended.
                    first.release(.failure(DriverError(.unavailable, driver: "held", reason: "late")))
                    await second.published(300)
                    try await run.drained()
                }
            }
        }
        #expect(Set(second.counts.keys) == Set(outbox.begun))
        let counts = try await outbox.counts()
        #expect((counts.delivered, counts.waiting, counts.setAside) == (300, 0, 0))
    }

    @Test("No outcome is lost when a conductor fails while it publishes")
    func failureWhilePublishing() async throws {
        let (first, second) = (RejectingDriver(), RejectingDriver())
        let certificates = try TestCertificates()
        let outbox = FaultyOutbox(over: MemoryOutbox())
        try await withConductor(Notifier(drivers: [first]), certificates: certificates) { dying in
            try await TCPProxy.with(targetPort: UInt16(dying.port)) { proxy in
                try await withConductor(Notifier(drivers: [second]), certificates: certificates) { heir in
                    let run = try AgentRun(self.configuration([proxy.port, heir.port], certificates), outbox)
                    async let notifying: Void = {
                        for _ in 1...2000 {
                            try await run.agent.notify(.end(payload: [:]), context: SampleReport.context())
                        }
                    }()
                    await first.published(100)
                    proxy.set(.swallow)
                    try await notifying
                    try await run.drained()
                }
            }
        }
        #expect(Set(first.counts.keys).union(second.counts.keys) == Set(outbox.begun))
        #expect(outbox.begun.count == 2000)
        #expect(try await outbox.counts().delivered == 2000)
    }

    @Test("All outcomes are delivered after both conductors were unreachable")
    func bothUnreachable() async throws {
        let driver = RejectingDriver()
        let certificates = try TestCertificates()
        let outbox = FaultyOutbox(over: MemoryOutbox())
        try await withConductor(Notifier(drivers: [driver]), certificates: certificates) { conductor in
            try await TCPProxy.with(targetPort: UInt16(conductor.port)) { first in
                try await TCPProxy.with(targetPort: UInt16(conductor.port)) { second in
                    let run = try AgentRun(self.configuration([first.port, second.port], certificates), outbox)
                    try await run.agent.notify(.end(payload: [:]), context: SampleReport.context())
                    await driver.published(1)
                    first.set(.swallow)
                    second.set(.swallow)
                    for _ in 1...300 { try await run.agent.notify(.end(payload: [:]), context: SampleReport.context()) }
                    // Both have been tried since then.
                    await first.wasConnected(2)
                    await second.wasConnected(1)
                    #expect(driver.counts.count == 1)
                    first.set(.forward)
                    second.set(.forward)
                    try await run.drained()
                }
            }
        }
        #expect(Set(driver.counts.keys) == Set(outbox.begun))
        #expect(outbox.begun.count == 301)
    }

    @Test(
        "An agent that cannot connect stops after its drain timeout, or at once without outcomes",
        arguments: [false, true])
    func stopWhileConnecting(hasSomethingToTell: Bool) async throws {
        let certificates = try TestCertificates()
        try await SilentServer.with { silent in
            var configuration = self.configuration([silent.port], certificates)
            // Longer than the test may take.
            configuration.connectTimeout = .seconds(3600)
            configuration.drainTimeout = hasSomethingToTell ? .milliseconds(100) : .seconds(3600)
            let run = try AgentRun(configuration, MemoryOutbox())
            if hasSomethingToTell {
                try await run.agent.notify(.end(payload: [:]), context: SampleReport.context())
            }
            await silent.wasSpokenTo()
            try await run.drained()
            #expect(try await run.agent.counts().waiting == (hasSomethingToTell ? 1 : 0))
        }
    }
}
