// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import ConductorService
import GuestAgent
import GuestSpool
import LogTesting
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Notifications
import Notifier
import ProcessTesting
import RelayTesting
import ServiceLifecycle
import Testing

/// A driver that rejects the first notifications as unavailable, then publishes all.
private final class RecoveringDriver: NotificationDriver {
    let name = "recovering"
    let taken = TestDriver()
    private let rejections: NIOLockedValueBox<Int>
    let refusedIDs = NIOLockedValueBox<Set<MessageID>>([])

    init(rejections: Int) { self.rejections = NIOLockedValueBox(rejections) }

    func emit(_ notification: NotificationMessage, completion: @escaping @Sendable (Result<Void, DriverError>) -> Void)
    {
        let rejects = self.rejections.withLockedValue { rejections in
            rejections -= 1
            return rejections >= 0
        }
        guard rejects else {
            self.taken.emit(notification, completion: completion)
            return
        }
        _ = self.refusedIDs.withLockedValue { $0.insert(notification.messageID) }
        completion(.failure(DriverError(.unavailable, driver: self.name, reason: "not yet")))
    }
}

/// An agent and a conductor, over real sockets.
@Suite(.timeLimit(.minutes(2))) struct DeliveryTests {
    private let logger = Logger.quiet

    /// Runs an agent while `body` runs, then lets it drain.
    private func run(
        _ agent: GuestAgent, _ body: () async throws -> Void
    ) async throws {
        let group = ServiceGroup(configuration: .init(services: [.init(service: agent)], logger: self.logger))
        async let running: Void = group.run()
        try await body()
        await group.triggerGracefulShutdown()
        try await running
    }

    @Test("Outcomes reach the conductor in order and leave the outbox")
    func deliverOutcomes() async throws {
        let driver = TestDriver()
        try await withConductor(Notifier(drivers: [driver])) { conductor in
            let agent = try GuestAgent(
                configuration: .test(ports: [conductor.port], certificates: conductor.certificates),
                outbox: MemoryOutbox(),
                logger: self.logger)
            try await self.run(agent) {
                for index in 0..<500 {
                    try await agent.withNotification(SampleReport.context(dbname: "db\(index)")) {}
                }
            }
            let counts = try await agent.counts()
            #expect((counts.begun, counts.delivered, counts.waiting) == (500, 500, 0))
        }
        #expect(driver.notifications.count == 500)
        #expect(driver.notifications.map { $0.payload["dbname"] } == (0..<500).map { .string("db\($0)") })
    }

    @Test("An outcome that is recorded before the agent runs is delivered")
    func outcomeBeforeRun() async throws {
        let driver = TestDriver()
        try await withConductor(Notifier(drivers: [driver])) { conductor in
            let agent = try GuestAgent(
                configuration: .test(ports: [conductor.port], certificates: conductor.certificates),
                outbox: MemoryOutbox(),
                logger: self.logger)
            try await agent.notify(.end(payload: [:]), context: SampleReport.context())
            try await self.run(agent) {}
        }
        #expect(driver.notifications.count == 1)
    }

    @Test("A conductor that is down is skipped")
    func conductorDown() async throws {
        let driver = TestDriver()
        try await withConductor(Notifier(drivers: [driver])) { conductor in
            // Nothing listens on port 1.
            let agent = try GuestAgent(
                configuration: .test(ports: [1, conductor.port], certificates: conductor.certificates),
                outbox: MemoryOutbox(),
                logger: self.logger)
            try await self.run(agent) { try await agent.withNotification(SampleReport.context()) {} }
            #expect(try await agent.counts().delivered == 1)
        }
        #expect(driver.notifications.count == 1)
    }

    @Test("An agent changes to another conductor when the first one has no broker")
    func conductorWithoutBroker() async throws {
        let (dead, alive) = (RecoveringDriver(rejections: .max), TestDriver())
        let certificates = try TestCertificates()
        try await withConductor(Notifier(drivers: [dead]), certificates: certificates) { first in
            try await withConductor(Notifier(drivers: [alive]), certificates: certificates) { second in
                var configuration = GuestAgent.Configuration.test(
                    ports: [first.port, second.port], certificates: certificates)
                configuration.drainTimeout = .seconds(60)
                let agent = try GuestAgent(configuration: configuration, outbox: MemoryOutbox(), logger: self.logger)
                try await self.run(agent) { try await agent.withNotification(SampleReport.context()) {} }
            }
        }
        #expect(alive.notifications.map(\.messageID) == Array(dead.refusedIDs.withLockedValue { $0 }))
    }

    @Test("A retry keeps the message id")
    func retriedMessageID() async throws {
        let driver = RecoveringDriver(rejections: 2)
        try await withConductor(Notifier(drivers: [driver])) { conductor in
            let agent = try GuestAgent(
                configuration: .test(ports: [conductor.port], certificates: conductor.certificates),
                outbox: MemoryOutbox(),
                logger: self.logger)
            try await self.run(agent) { try await agent.withNotification(SampleReport.context()) {} }
        }
        #expect(driver.taken.notifications.map(\.messageID) == Array(driver.refusedIDs.withLockedValue { $0 }))
    }

    @Test("An outcome with a final rejection is set aside, and the next one is delivered")
    func finalRejections() async throws {
        let driver = TestDriver()
        let outbox = MemoryOutbox()
        try await withConductor(Notifier(drivers: [driver])) { conductor in
            let agent = try GuestAgent(
                configuration: .test(ports: [conductor.port], certificates: conductor.certificates), outbox: outbox,
                logger: self.logger)
            try await self.run(agent) {
                var context = SampleReport.context()
                context.operation = "no_such_operation"
                try await agent.withNotification(context) {}
                context.payload["dbname"] = .string(String(repeating: "x", count: 2 << 20))
                try await agent.withNotification(context) {}
                try await agent.withNotification(SampleReport.context()) {}
            }
            let counts = try await agent.counts()
            #expect((counts.delivered, counts.setAside, counts.waiting) == (1, 2, 0))
        }
        // An outcome that is too long for the protocol is rejected here, before the conductor answers the other one.
        for reason in ["unknown_event", "too_large"] {
            #expect(outbox.setAside.count { $0.reason.contains(reason) } == 1)
        }
        #expect(driver.notifications.count == 1)
    }

    @Test("An agent changes to another conductor when the first one never answers")
    func silentConductor() async throws {
        let (silent, alive) = (HeldDriver(), TestDriver())
        let certificates = try TestCertificates()
        try await withConductor(Notifier(drivers: [silent]), certificates: certificates) {
            $0.connection.drainTimeout = .milliseconds(10)
        } _: { first in
            try await withConductor(Notifier(drivers: [alive]), certificates: certificates) { second in
                var configuration = GuestAgent.Configuration.test(
                    ports: [first.port, second.port], certificates: certificates)
                configuration.answerTimeout = .milliseconds(200)
                let agent = try GuestAgent(configuration: configuration, outbox: MemoryOutbox(), logger: self.logger)
                try await self.run(agent) { try await agent.withNotification(SampleReport.context()) {} }
                #expect(try await agent.counts().delivered == 1)
            }
        }
        silent.release()
    }

    @Test("An agent that cannot deliver stops after its drain timeout")
    func stopAfterDrainTimeout() async throws {
        let certificates = try TestCertificates()
        var configuration = GuestAgent.Configuration.test(ports: [1], certificates: certificates)
        configuration.drainTimeout = .milliseconds(100)
        let agent = try GuestAgent(configuration: configuration, outbox: MemoryOutbox(), logger: self.logger)
        try await self.run(agent) { try await agent.withNotification(SampleReport.context()) {} }
        #expect(try await agent.counts().waiting == 1)
    }

    @Test("An agent closes its connection after its drain timeout")
    func closeAfterDrainTimeout() async throws {
        let driver = HeldDriver()
        try await withConductor(Notifier(drivers: [driver])) {
            // A stopping conductor waits for a connection with a request in flight, here longer than the test may take.
            $0.connection.drainTimeout = .minutes(10)
        } _: { conductor in
            var configuration = GuestAgent.Configuration.test(
                ports: [conductor.port], certificates: conductor.certificates)
            configuration.drainTimeout = .milliseconds(50)
            let agent = try GuestAgent(configuration: configuration, outbox: MemoryOutbox(), logger: self.logger)
            try await self.run(agent) {
                try await agent.withNotification(SampleReport.context()) {}
                await driver.received(1)
            }
        }
        driver.release()
    }

    @Test("An outcome with too many levels or values for the protocol is set aside")
    func tooDeepOrWide() async throws {
        let driver = TestDriver()
        let outbox = MemoryOutbox()
        try await withConductor(Notifier(drivers: [driver])) { conductor in
            let agent = try GuestAgent(
                configuration: .test(ports: [conductor.port], certificates: conductor.certificates), outbox: outbox,
                logger: self.logger)
            try await self.run(agent) {
                let deep = (1...31).reduce(JSONValue.null) { value, _ in .array([value]) }
                try await agent.notify(.end(payload: ["deep": deep]), context: SampleReport.context())
                let wide = JSONValue.array(Array(repeating: 0, count: RPCProtocol.maximumValues))
                try await agent.notify(.end(payload: ["wide": wide]), context: SampleReport.context())
                try await agent.notify(.end(payload: [:]), context: SampleReport.context())
            }
            let counts = try await agent.counts()
            #expect((counts.delivered, counts.setAside, counts.waiting) == (1, 2, 0))
        }
        for reason in ["deeper", "\(RPCProtocol.maximumValues) values"] {
            #expect(outbox.setAside.count { $0.reason.contains(reason) } == 1)
        }
    }

    @Test("Outcomes are delivered in order across a restart of the conductor")
    func conductorRestart() async throws {
        let driver = TestDriver()
        let certificates = try TestCertificates()
        let agentBox = NIOLockedValueBox<GuestAgent?>(nil)
        let reserved = try ReservedPort()
        defer { withExtendedLifetime(reserved) {} }
        let port = reserved.port
        try await withConductor(Notifier(drivers: [driver]), certificates: certificates, port: port) { conductor in
            let agent = try GuestAgent(
                configuration: .test(ports: [conductor.port], certificates: certificates), outbox: MemoryOutbox(),
                logger: self.logger)
            agentBox.withLockedValue { $0 = agent }
            try await agent.notify(.end(payload: [:]), context: SampleReport.context(dbname: "before"))
        }
        let agent = try #require(agentBox.withLockedValue { $0 })
        let group = ServiceGroup(configuration: .init(services: [.init(service: agent)], logger: self.logger))
        async let running: Void = group.run()
        try await agent.notify(.end(payload: [:]), context: SampleReport.context(dbname: "between"))
        try await ReservedPort.becomesFree(port)
        try await withConductor(Notifier(drivers: [driver]), certificates: certificates, port: port) { _ in
            try await agent.notify(.end(payload: [:]), context: SampleReport.context(dbname: "after"))
            await group.triggerGracefulShutdown()
            while try await agent.counts().waiting > 0 { await Task.yield() }
        }
        try await running
        #expect(driver.notifications.map { $0.payload["dbname"] } == ["before", "between", "after"])
    }
}
