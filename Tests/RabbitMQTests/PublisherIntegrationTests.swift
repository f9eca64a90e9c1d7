// SPDX-License-Identifier: Apache-2.0

import BrokerTesting
import DriverErrors
import LogTesting
import Logging
import NIOConcurrencyHelpers
import Testing

@testable import RabbitMQ

@Suite("Publisher against RabbitMQ", .timeLimit(.minutes(3)))
struct PublisherIntegrationTests {
    let broker: TestBroker
    let client: BrokerClient
    let names = UniqueTopic()

    init() throws {
        self.broker = try TestBroker.shared()
        self.client = BrokerClient(self.broker)
    }

    private func configuration() throws -> PublisherConfiguration {
        try quickConfiguration(self.broker.url, exchange: self.names.exchange)
    }

    private func cleanUp(_ queues: String...) async throws {
        for queue in queues { try await self.client.deleteQueue(queue) }
        try await self.client.deleteExchange(self.names.exchange)
    }

    @Test("A confirmed message is in its queue with oslo's properties and no others")
    func properties() async throws {
        let body = Array(#"{"oslo.version": "2.0", "oslo.message": "{}"}"#.utf8)
        try await withConnectedPublisher(self.configuration()) { [names] publisher, _ in
            try await publisher.publish(OutgoingMessage(queue: names.info, body: body))
        }
        let message = try #require(try await self.client.get(self.names.info))
        #expect(message.body == body)
        #expect(message.exchange == self.names.exchange)
        #expect(message.routingKey == self.names.info)
        var expected = ReceivedMessage.Properties()
        expected.contentType = "application/json"
        expected.contentEncoding = "utf-8"
        expected.headers = []
        expected.deliveryMode = 2
        expected.priority = 0
        #expect(message.properties == expected)
        #expect(try await self.client.count(self.names.info) == 0)
        try await self.cleanUp(self.names.info)
    }

    @Test("A guest's message has the guest's name in a header, and other messages have no header")
    func guestHeader() async throws {
        let names = [
            "inst-1", "tenant-1/inst-1", String(repeating: "n", count: OutgoingMessage.Sender.maximumNameLength),
        ]
        let senders =
            names.map { OutgoingMessage.Sender?.some(.init(key: 1, name: $0)) } + [nil, .init(key: 2, name: "")]
        // Bodies of one frame and of several.
        let sizes = [2, 200_000]
        try await withConnectedPublisher(self.configuration()) { [names = self.names] publisher, _ in
            for size in sizes {
                for (number, sender) in senders.enumerated() {
                    var body = Array("\(number)".utf8)
                    body += Array(repeating: UInt8(ascii: " "), count: size - body.count)
                    try await publisher.publish(OutgoingMessage(queue: names.info, body: body, sender: sender))
                }
            }
        }
        let received = try await self.client.getAll(self.names.info)
        let expected = names.map { ["x-conductor-guest": $0] } + [[:], [:]]
        #expect(received.map(\.properties.headerTexts) == expected + expected)
        #expect(received.map(\.properties.headers) == (expected + expected).map { Optional(Array($0.keys)) })
        #expect(received.map(\.body.count) == sizes.flatMap { size in senders.map { _ in size } })
        var properties = received.map(\.properties)
        for index in properties.indices { (properties[index].headers, properties[index].headerTexts) = ([], [:]) }
        // All other properties are the same.
        #expect(Set(properties).count == 1)
        try await self.cleanUp(self.names.info)
    }

    @Test("10,000 messages sent at once are all confirmed, in order and once each")
    func pipelined() async throws {
        let messages = numbered(10_000, queue: self.names.info, size: 1024)
        let results = try await withConnectedPublisher(self.configuration()) { publisher, _ in
            let results = await publisher.publishAll(messages)
            let status = publisher.status
            #expect(status.unconfirmed == 0 || status.inbox == 0)
            return results
        }
        #expect(results.count == messages.count)
        #expect(results.allSatisfy { $0.error == nil })
        let received = try await self.client.getAll(self.names.info)
        #expect(received.map(\.body) == messages.map(\.body))
        try await self.cleanUp(self.names.info)
    }

    @Test("A full inbox rejects messages at once, and every accepted message is confirmed")
    func inboxFull() async throws {
        var configuration = try self.configuration()
        configuration.window = 2
        configuration.inboxCapacity = 10
        let messages = numbered(500, queue: self.names.info)
        let results = try await withConnectedPublisher(configuration) { publisher, _ in
            await publisher.publishAll(messages).map(\.error)
        }
        let confirmed = results.count { $0 == nil }
        #expect(results.contains { $0?.cause == .inboxFull && $0?.isRetryable == true })
        #expect(results.allSatisfy { $0 == nil || $0?.cause == .inboxFull })
        #expect(try await self.client.count(self.names.info) == confirmed)
        try await self.cleanUp(self.names.info)
    }

    @Test("Queues to declare at start exist before the first message")
    func declareAtStart() async throws {
        var configuration = try self.configuration()
        configuration.declareAtStart = [self.names.info, self.names.error]
        try await withConnectedPublisher(configuration) { [client, names] _, _ in
            let counts = [try await client.count(names.info), try await client.count(names.error)]
            #expect(counts == [0, 0])
        }
        try await self.cleanUp(self.names.info, self.names.error)
    }

    @Test("A quorum queue is declared as one, with a durable exchange")
    func quorum() async throws {
        var configuration = try self.configuration()
        configuration.queueType = .quorum
        let messages = numbered(100, queue: self.names.info)
        try await withConnectedPublisher(configuration) { publisher, log in
            #expect(await publisher.publishAll(messages).allSatisfy { $0.error == nil })
            #expect(log.count("Using an existing exchange or queue") == 0)
        }
        let queues = try await self.broker.control("list_queues", "--silent", "name", "type", "durable")
        #expect(queues.contains("\(self.names.info)\tquorum\ttrue"))
        let exchanges = try await self.broker.control("list_exchanges", "--silent", "name", "type", "durable")
        #expect(exchanges.contains("\(self.names.exchange)\ttopic\ttrue"))
        try await self.cleanUp(self.names.info)
    }

    @Test("An existing exchange or queue with other flags is used, with one warning for each")
    func otherFlags() async throws {
        try await self.client.declareExchange(self.names.exchange, durable: true)
        try await self.client.declareQueue(self.names.info, durable: true)
        let names = self.names
        let log = try await withConnectedPublisher(self.configuration()) { publisher, log in
            try await publisher.publish(OutgoingMessage(queue: names.info, body: Array("{}".utf8)))
            // The publisher declares it again, which must not log another warning.
            try await self.client.deleteExchange(names.exchange)
            try await self.client.declareExchange(names.exchange, durable: true)
            try await publisher.publishRetrying(OutgoingMessage(queue: names.info, body: Array("[]".utf8)))
            return log
        }
        let warnings = log.entries.filter { $0.message.hasPrefix("Using an existing exchange or queue") }
        #expect(warnings.count == 2, "\(log.entries)")
        #expect(warnings.first?.metadata["exchange"] == names.exchange)
        #expect(warnings.first?.metadata["setting"] == "messaging.durable")
        #expect(warnings.first?.metadata["reason"]?.contains("durable") == true)
        #expect(warnings.last?.metadata["queue"] == names.info)
        #expect(try await self.client.count(names.info) == 2)
        try await self.cleanUp(names.info)
    }

    @Test("An exchange of another type is used, and the warning names the setting of its name")
    func otherType() async throws {
        try await self.client.declareExchange(self.names.exchange, type: "direct", durable: false)
        let names = self.names
        let log = try await withConnectedPublisher(self.configuration()) { publisher, log in
            try await publisher.publish(OutgoingMessage(queue: names.info, body: Array("{}".utf8)))
            return log
        }
        let warning = log.entries.first { $0.message.hasPrefix("Using an existing exchange or queue") }
        #expect(warning?.metadata["setting"] == "messaging.exchange", "\(log.entries)")
        #expect(try await self.client.count(names.info) == 1)
        try await self.cleanUp(names.info)
    }

    @Test("An existing classic queue is used in place of a quorum queue, with a warning")
    func classicInsteadOfQuorum() async throws {
        try await self.client.declareQueue(self.names.info, durable: false)
        var configuration = try self.configuration()
        configuration.queueType = .quorum
        let names = self.names
        let log = try await withConnectedPublisher(configuration) { publisher, log in
            try await publisher.publish(OutgoingMessage(queue: names.info, body: Array("{}".utf8)))
            return log
        }
        let warning = log.entries.first { $0.message.hasPrefix("Using an existing exchange or queue") }
        #expect(warning?.metadata["setting"]?.contains("messaging.queue_type") == true)
        #expect(try await self.client.count(names.info) == 1)
        try await self.cleanUp(names.info)
    }

    @Test("A message to a deleted queue is returned, and the queue is declared again for the next")
    func queueDeleted() async throws {
        let names = self.names
        try await withConnectedPublisher(self.configuration()) { [client] publisher, log in
            try await publisher.publish(OutgoingMessage(queue: names.info, body: Array("1".utf8)))
            try await client.deleteQueue(names.info)
            let error = try await publisher.failure(OutgoingMessage(queue: names.info, body: Array("2".utf8)))
            #expect(error.cause == .returned)
            #expect(error.isRetryable)
            try await publisher.publish(OutgoingMessage(queue: names.info, body: Array("2".utf8)))
            #expect(log.count("Lost") == 0)
            #expect(publisher.status.connections == 1)
        }
        #expect(try await self.client.getAll(names.info).map(\.body) == [Array("2".utf8)])
        try await self.cleanUp(names.info)
    }

    @Test("A deleted exchange is declared again on the same connection")
    func exchangeDeleted() async throws {
        let names = self.names
        try await withConnectedPublisher(self.configuration()) { [client] publisher, _ in
            try await publisher.publish(OutgoingMessage(queue: names.info, body: Array("1".utf8)))
            try await client.deleteExchange(names.exchange)
            let error = try await publisher.failure(OutgoingMessage(queue: names.info, body: Array("2".utf8)))
            #expect(error.cause == .channelClosed)
            #expect(error.isRetryable)
            #expect(error.description.contains("404"))
            try await publisher.publish(OutgoingMessage(queue: names.info, body: Array("2".utf8)))
            #expect(publisher.status.connections == 1)
        }
        #expect(try await self.client.count(names.info) == 2)
        try await self.cleanUp(names.info)
    }

    @Test("A message above the broker's limit fails with the limit, and the connection stays open")
    func tooLarge() async throws {
        let names = self.names
        let limit = 262_144
        try await withConnectedPublisher(self.configuration()) { publisher, _ in
            let large = OutgoingMessage(queue: names.info, body: Array(repeating: 32, count: limit + 1))
            let first = try await publisher.failure(large)
            #expect(first.cause == .tooLarge)
            #expect(first.limitBytes == limit)
            #expect(!first.isRetryable)
            // From now on the publisher itself rejects such a message, at once.
            #expect(try await publisher.failure(large).limitBytes == limit)
            try await publisher.publish(OutgoingMessage(queue: names.info, body: Array(repeating: 32, count: limit)))
            let mixed = [large] + numbered(10, queue: names.info)
            let results = await publisher.publishAll(mixed)
            #expect(results[0].error?.cause == .tooLarge)
            #expect(results.dropFirst().allSatisfy { $0.error == nil })
            #expect(publisher.status.connections == 1)
        }
        #expect(try await self.client.count(names.info) == 11)
        try await self.cleanUp(names.info)
    }

    @Test("Messages sent with one that is too large can be retried, and none is lost")
    func tooLargeAmongOthers() async throws {
        let names = self.names
        try await withConnectedPublisher(self.configuration()) { publisher, _ in
            var messages = numbered(200, queue: names.info)
            messages[100].body = Array(repeating: 32, count: 300_000)
            let results = await publisher.publishAll(messages)
            #expect(results[100].error?.cause == .tooLarge)
            for (index, result) in results.enumerated() where index != 100 {
                guard let error = result.error else { continue }
                #expect(error.cause == .channelClosed)
                try await publisher.publish(messages[index])
            }
            #expect(publisher.status.connections == 1)
        }
        let bodies = Set(try await self.client.getAll(names.info).map(\.body))
        #expect(bodies.count == 199)
        try await self.cleanUp(names.info)
    }

    @Test("A queue name that AMQP cannot carry is a permanent error")
    func invalidQueue() async throws {
        let publisher = Publisher(configuration: try self.configuration(), logger: LogRecorder().logger)
        for queue in ["", String(repeating: "q", count: 256)] {
            let error = try await publisher.failure(OutgoingMessage(queue: queue, body: []))
            #expect(error.cause == .invalidQueue)
            #expect(!error.isRetryable)
        }
    }

    @Test("A message with an empty body is published")
    func emptyBody() async throws {
        let names = self.names
        try await withConnectedPublisher(self.configuration()) { publisher, _ in
            try await publisher.publish(OutgoingMessage(queue: names.info, body: []))
        }
        #expect(try await self.client.get(names.info)?.body == [])
        try await self.cleanUp(names.info)
    }

    @Test("Messages of many senders on many tasks all arrive")
    func concurrentSenders() async throws {
        let names = self.names
        try await withConnectedPublisher(self.configuration()) { publisher, _ in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for sender in 0..<20 {
                    group.addTask {
                        for number in 0..<50 {
                            let body = Array("\(sender) \(number)".utf8)
                            try await publisher.publish(OutgoingMessage(queue: names.info, body: body))
                            _ = publisher.status
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
        #expect(Set(try await self.client.getAll(names.info).map(\.body)).count == 1000)
        try await self.cleanUp(names.info)
    }

    @Test("Graceful shutdown answers every message, loses no confirmed one, and rejects new ones")
    func drain() async throws {
        let names = self.names
        let answers = NIOLockedValueBox([Result<Void, DriverError>]())
        let kept = try await withConnectedPublisher(self.configuration()) { publisher, _ in
            for message in numbered(500, queue: names.info) {
                publisher.publish(message) { result in answers.withLockedValue { $0.append(result) } }
            }
            return publisher
        }
        let results = answers.withLockedValue { $0 }
        #expect(results.count == 500)
        #expect(results.allSatisfy { $0.error == nil || $0.error?.cause == .shuttingDown })
        #expect(try await self.client.count(names.info) == results.count { $0.error == nil })
        let error = try await kept.failure(OutgoingMessage(queue: names.info, body: []))
        #expect(error.cause == .shuttingDown)
        #expect(error.isRetryable)
        await #expect(throws: (any Error).self) { try await kept.run() }
        try await self.cleanUp(names.info)
    }

    @Test("A cancelled publisher answers every outstanding message and ends")
    func cancelled() async throws {
        let log = LogRecorder()
        let publisher = Publisher(configuration: try self.configuration(), logger: log.logger)
        let task = Task { try await publisher.run() }
        await log.next("Connected to RabbitMQ")
        try await publisher.publish(OutgoingMessage(queue: self.names.info, body: Array("1".utf8)))
        let messages = numbered(100, queue: self.names.info)
        async let results = publisher.publishAll(messages)
        task.cancel()
        #expect(await results.count == 100)
        try await task.value
        #expect(publisher.status.host == nil)
        try await self.cleanUp(self.names.info)
    }
}
