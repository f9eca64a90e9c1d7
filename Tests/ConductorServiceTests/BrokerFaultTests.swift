// SPDX-License-Identifier: Apache-2.0

import BrokerTesting
import ConductorRPC
import ConductorService
import GuestAgent
import LogTesting
import NIOConcurrencyHelpers
import Notifications
import Notifier
import RabbitMQ
import RelayTesting
import Testing
import Timing

/// Broker faults: an outcome that the broker does not accept is answered as retryable, and is accepted later.
@Suite(.timeLimit(.minutes(5))) struct BrokerFaultTests {
    private let topic = UniqueTopic()

    /// A notifier whose publisher reconnects quickly, so that tests do not wait.
    private func notifier(
        _ url: String, queueType: PublisherConfiguration.QueueType = .classic,
        publishTimeout: Duration = .seconds(60), log: LogRecorder = LogRecorder()
    ) throws -> Notifier {
        var configuration = PublisherConfiguration(
            transportURL: try TransportURL(url), exchange: self.topic.exchange)
        configuration.backoff = .init(minimum: .milliseconds(20), maximum: .milliseconds(200))
        configuration.queueType = queueType
        configuration.publishTimeout = publishTimeout
        configuration.connectTimeout = .seconds(1)
        configuration.drainTimeout = .milliseconds(200)
        configuration.declareAtStart = [self.topic.info, self.topic.error]
        let publisher = Publisher(configuration: configuration, logger: log.logger)
        return Notifier(drivers: [
            MessagingDriver(envelope: .messagingv2, topic: self.topic.topic, publisher: publisher)
        ])
    }

    /// Sends the report.
    ///
    /// - Returns: the error if the report was not published, which must be retryable.
    private func refusal(_ report: OutcomeReport, over connection: ConductorConnection) async throws -> RPCError? {
        do {
            let reply = try await connection.call(.notify(report))
            #expect(reply == .accepted(report.messageID, .published))
            return nil
        } catch RPCCallError.rejected(let error) {
            #expect(error.code == .brokerUnavailable && error.code.isRetryable)
            #expect(error.retryAfterMilliseconds != nil && error.field == nil)
            return error
        }
    }

    /// Sends the report until it is published.
    private func publish(_ report: OutcomeReport, over connection: ConductorConnection) async throws {
        while try await self.refusal(report, over: connection) != nil { await Task.yield() }
    }

    /// Sends reports, a new one each time, until one is rejected.
    ///
    /// - Returns: the published reports, and the rejected one.
    private func publishUntilRefused(
        over connection: ConductorConnection
    ) async throws -> (published: [OutcomeReport], refused: OutcomeReport) {
        var published: [OutcomeReport] = []
        while true {
            let report = SampleReport.end(dbname: "db\(published.count)")
            guard try await self.refusal(report, over: connection) == nil else { return (published, report) }
            published.append(report)
        }
    }

    /// Returns the message ids in the queue, and empties it.
    private func messageIDs(_ broker: TestBroker) async throws -> [String] {
        try await BrokerClient(broker).getAll(self.topic.info).map { message in
            let envelope = try #require(try JSONValue(json: message.body).object)
            let inner = try JSONValue(json: Array(try #require(envelope["oslo.message"]?.string).utf8))
            return try #require(inner.object?["message_id"]?.string)
        }
    }

    private func cleanUp(_ broker: TestBroker) async throws {
        let client = BrokerClient(broker)
        for queue in [self.topic.info, self.topic.error] { try await client.deleteQueue(queue) }
        try await client.deleteExchange(self.topic.exchange)
    }

    @Test(
        "An outcome that a full queue rejects is retryable, and published when there is space",
        arguments: [PublisherConfiguration.QueueType.quorum, .classic])
    func fullQueue(queueType: PublisherConfiguration.QueueType) async throws {
        let broker = try TestBroker.shared()
        let definition = #"{"max-length":2,"overflow":"reject-publish"}"#
        try await broker.control(
            "set_policy", self.topic.topic, "^\(self.topic.topic)", definition, "--apply-to", "queues")
        let (held, later) = try await withConductor(try self.notifier(broker.url, queueType: queueType)) { conductor in
            let connection = try await conductor.connect()
            try await self.publish(SampleReport.end(), over: connection)
            let (published, refused) = try await self.publishUntilRefused(over: connection)
            #expect(conductor.counters.published == published.count + 1)
            // The queue has nothing of the rejected outcome.
            let held = try await self.messageIDs(broker)
            #expect(Set(held).isSuperset(of: published.map(\.messageID.description)))
            #expect(!held.contains(refused.messageID.description))
            // The queue has space again. A quorum queue needs time to notice that.
            try await self.publish(refused, over: connection)
            #expect(conductor.counters.isBalanced && conductor.counters.duplicate == 0)
            await connection.close()
            return (held.count, [refused.messageID.description])
        }
        #expect(held >= 2)
        #expect(try await self.messageIDs(broker) == later)
        try await broker.control("clear_policy", self.topic.topic)
        try await self.cleanUp(broker)
    }

    private enum Missing: CaseIterable { case queue, exchange }

    @Test("A deleted queue or exchange is declared again, and the outcome is published", arguments: Missing.allCases)
    private func deletedQueueOrExchange(missing: Missing) async throws {
        let broker = try TestBroker.shared()
        try await withConductor(try self.notifier(broker.url)) { conductor in
            let connection = try await conductor.connect()
            try await self.publish(SampleReport.end(), over: connection)
            let client = BrokerClient(broker)
            switch missing {
            // The broker returns the message that it cannot route.
            case .queue: try await client.deleteQueue(self.topic.info)
            // The broker closes the channel.
            case .exchange: try await client.deleteExchange(self.topic.exchange)
            }
            let (published, refused) = try await self.publishUntilRefused(over: connection)
            #expect(published.isEmpty)
            try await self.publish(refused, over: connection)
            let held = try await self.messageIDs(broker)
            #expect(held.filter { $0 == refused.messageID.description }.count == 1)
            #expect(conductor.counters.rejected["broker_unavailable"].map { $0 >= 1 } == true)
            await connection.close()
        }
        try await self.cleanUp(broker)
    }

    @Test("An outcome in flight when the broker's connection is cut can be retried")
    func cutConnection() async throws {
        let broker = try TestBroker.shared()
        try await TCPProxy.with(targetPort: broker.port) { proxy in
            try await withConductor(try self.notifier(broker.url(port: proxy.port))) { conductor in
                let connection = try await conductor.connect()
                try await self.publish(SampleReport.end(), over: connection)
                proxy.set(.stall)
                let report = SampleReport.end()
                async let refusal = self.refusal(report, over: connection)
                while conductor.counters.inFlight == 0 { await Task.yield() }
                proxy.cut()
                let refused = try await refusal != nil
                #expect(refused)
                proxy.set(.forward)
                try await self.publish(report, over: connection)
                #expect(try await self.messageIDs(broker).contains(report.messageID.description))
                await connection.close()
            }
        }
        try await self.cleanUp(broker)
    }

    @Test(
        "Outcomes are rejected during a broker alarm, and published on the same connection after it",
        arguments: [
            ["set_vm_memory_high_watermark", "0.0000001", "0.4"], ["set_disk_free_limit", "1000000GB", "1MB"],
        ])
    func brokerAlarm(command: [String]) async throws {
        try await withPrivateBroker { broker in
            let log = LogRecorder()
            let notifier = try self.notifier(broker.url, publishTimeout: .seconds(5), log: log)
            try await withConductor(notifier) { conductor in
                let connection = try await conductor.connect()
                try await self.publish(SampleReport.end(), over: connection)
                try await broker.control(command[0], command[1])
                // Outcomes that arrive before the broker notices its own alarm are published.
                let refused = try await self.publishUntilRefused(over: connection).refused
                await log.next("RabbitMQ blocked publishing")
                #expect(try await self.refusal(refused, over: connection) != nil)
                try await broker.control(command[0], command[2])
                try await self.publish(refused, over: connection)
                #expect(try await self.messageIDs(broker).contains(refused.messageID.description))
                await connection.close()
            }
            // On the same connection: the publisher did not reconnect.
            #expect(log.count("Connected to RabbitMQ") == 1)
        }
    }

    @Test("With an unresponsive broker, requests time out, and only a window is read at a time")
    func unresponsiveBroker() async throws {
        let broker = try TestBroker.shared()
        let log = LogRecorder()
        try await TCPProxy.with(targetPort: broker.port) { proxy in
            let notifier = try self.notifier(broker.url(port: proxy.port), publishTimeout: .seconds(3), log: log)
            try await withConductor(notifier) {
                $0.connection.window = 3
            } _: { conductor in
                let connection = try await conductor.connect()
                try await self.publish(SampleReport.end(), over: connection)
                let before = conductor.counters
                // The connection stays open, and no answer arrives.
                proxy.set(.swallow)
                let ids = (0..<10).map { _ in MessageID() }
                try await RawGuest.with(conductor) { guest in
                    for (id, messageID) in ids.enumerated() {
                        try await guest.send(line: SampleReport.line(id: id, messageID: messageID))
                    }
                    try await guest.send(line: #"{"jsonrpc":"2.0","id":"after","method":"ping"}"#)
                    while conductor.counters.received < before.received + 3 { await Task.yield() }
                    // Everything else stays unread, including the ping: the amount that one guest can make the
                    // conductor hold is bounded.
                    #expect(conductor.counters.received == before.received + 3)
                    #expect(conductor.counters.inFlight == 3 && conductor.counters.pings == 0)
                    var answers: [String] = []
                    while answers.count < ids.count + 1, let line = try await guest.line() { answers.append(line) }
                    #expect(answers.count { $0.contains(#""reason":"broker_unavailable","retryable":true"#) } == 10)
                }
                #expect(conductor.counters.rejected["broker_unavailable", default: 0] >= 10)
                proxy.set(.forward)
                // The same process and the same drivers.
                for id in ids {
                    let report = OutcomeReport(
                        context: SampleReport.context(), outcome: .end(payload: [:]), messageID: id)
                    try await self.publish(report, over: connection)
                }
                #expect(Set(try await self.messageIDs(broker)).isSuperset(of: ids.map(\.description)))
                #expect(conductor.counters.isBalanced && conductor.counters.inFlight == 0)
                await connection.close()
            }
        }
        try await self.cleanUp(broker)
    }

    @Test(
        "Outcomes are rejected while the broker is unresponsive from the start, then published",
        arguments: [TCPProxy.Mode.swallow, .stall])
    func brokerUnresponsiveAtStart(mode: TCPProxy.Mode) async throws {
        let broker = try TestBroker.shared()
        let log = LogRecorder()
        try await TCPProxy.with(targetPort: broker.port) { proxy in
            proxy.set(mode)
            try await withConductor(try self.notifier(broker.url(port: proxy.port), log: log)) { conductor in
                let connection = try await conductor.connect()
                // While the login hangs, and after it has failed.
                for attempt in 1...2 {
                    let (published, refused) = try await self.publishUntilRefused(over: connection)
                    #expect(published.isEmpty)
                    if attempt == 1 {
                        await log.next("Failed to connect to RabbitMQ")
                    } else {
                        proxy.set(.forward)
                        try await self.publish(refused, over: connection)
                        #expect(try await self.messageIDs(broker) == [refused.messageID.description])
                    }
                }
                await connection.close()
            }
        }
        try await self.cleanUp(broker)
    }
}
