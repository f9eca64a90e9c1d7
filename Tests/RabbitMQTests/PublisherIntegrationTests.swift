// SPDX-License-Identifier: Apache-2.0

import BrokerTesting
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

    @Test("a confirmed message is in its queue with oslo's properties and no others")
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

    @Test("a guest's message has the guest's name in a header, whatever its length, and others' have none")
    func guestHeader() async throws {
        let names = ["inst-1", "tenant-1/inst-1", String(repeating: "n", count: OutgoingMessage.Sender.longestName)]
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
        // Of everything else all have the same.
        #expect(Set(properties).count == 1)
        try await self.cleanUp(self.names.info)
    }

    @Test("10,000 messages at once are all confirmed, in order and once each")
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

    @Test("a full inbox refuses at once, and what it took is confirmed")
    func inboxFull() async throws {
        var configuration = try self.configuration()
        configuration.window = 2
        configuration.inboxCapacity = 10
        let messages = numbered(500, queue: self.names.info)
        let results = try await withConnectedPublisher(configuration) { publisher, _ in
            await publisher.publishAll(messages).map(\.error)
        }
        let confirmed = results.count { $0 == nil }
        #expect(results.contains { $0?.code == .inboxFull && $0?.isRetryable == true })
        #expect(results.allSatisfy { $0 == nil || $0?.code == .inboxFull })
        #expect(try await self.client.count(self.names.info) == confirmed)
        try await self.cleanUp(self.names.info)
    }

    @Test("queues to declare at start exist, bound, before any message")
    func declareAtStart() async throws {
        var configuration = try self.configuration()
        configuration.declareAtStart = [self.names.info, self.names.error]
        try await withConnectedPublisher(configuration) { [client, names] _, _ in
            let counts = [try await client.count(names.info), try await client.count(names.error)]
            #expect(counts == [0, 0])
        }
        try await self.cleanUp(self.names.info, self.names.error)
    }

    @Test("a quorum queue is declared as one, with a durable exchange")
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

    @Test("exchange and queue that exist with other flags are used, with one warning each that names them")
    func otherFlags() async throws {
        try await self.client.declareExchange(self.names.exchange, durable: true)
        try await self.client.declareQueue(self.names.info, durable: true)
        let names = self.names
        let log = try await withConnectedPublisher(self.configuration()) { publisher, log in
            try await publisher.publish(OutgoingMessage(queue: names.info, body: Array("{}".utf8)))
            // Declared anew, which must not warn anew.
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

    @Test("an exchange of another type is used, and the warning names the setting of its name")
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

    @Test("asking for a quorum queue where a classic one is, uses the classic one")
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

    @Test("a queue deleted under the publisher: its message is returned, the next finds it declared again")
    func queueDeleted() async throws {
        let names = self.names
        try await withConnectedPublisher(self.configuration()) { [client] publisher, log in
            try await publisher.publish(OutgoingMessage(queue: names.info, body: Array("1".utf8)))
            try await client.deleteQueue(names.info)
            let error = try await publisher.failure(OutgoingMessage(queue: names.info, body: Array("2".utf8)))
            #expect(error.code == .returned)
            #expect(error.isRetryable)
            try await publisher.publish(OutgoingMessage(queue: names.info, body: Array("2".utf8)))
            #expect(log.count("Lost") == 0)
            #expect(publisher.status.connections == 1)
        }
        #expect(try await self.client.getAll(names.info).map(\.body) == [Array("2".utf8)])
        try await self.cleanUp(names.info)
    }

    @Test("an exchange deleted under the publisher is made again on the same connection")
    func exchangeDeleted() async throws {
        let names = self.names
        try await withConnectedPublisher(self.configuration()) { [client] publisher, _ in
            try await publisher.publish(OutgoingMessage(queue: names.info, body: Array("1".utf8)))
            try await client.deleteExchange(names.exchange)
            let error = try await publisher.failure(OutgoingMessage(queue: names.info, body: Array("2".utf8)))
            #expect(error.code == .channelClosed)
            #expect(error.isRetryable)
            #expect(error.description.contains("404"))
            try await publisher.publish(OutgoingMessage(queue: names.info, body: Array("2".utf8)))
            #expect(publisher.status.connections == 1)
        }
        #expect(try await self.client.count(names.info) == 2)
        try await self.cleanUp(names.info)
    }

    @Test("a message above the broker's limit is told the limit; the others and the connection live on")
    func tooLarge() async throws {
        let names = self.names
        let limit = 262_144
        try await withConnectedPublisher(self.configuration()) { publisher, _ in
            let large = OutgoingMessage(queue: names.info, body: Array(repeating: 32, count: limit + 1))
            let first = try await publisher.failure(large)
            #expect(first.code == .tooLarge)
            #expect(first.limit == limit)
            #expect(!first.isRetryable)
            // Refused here from now on, at once.
            #expect(try await publisher.failure(large).limit == limit)
            try await publisher.publish(OutgoingMessage(queue: names.info, body: Array(repeating: 32, count: limit)))
            let mixed = [large] + numbered(10, queue: names.info)
            let results = await publisher.publishAll(mixed)
            #expect(results[0].error?.code == .tooLarge)
            #expect(results.dropFirst().allSatisfy { $0.error == nil })
            #expect(publisher.status.connections == 1)
        }
        #expect(try await self.client.count(names.info) == 11)
        try await self.cleanUp(names.info)
    }

    @Test("messages beside one that is too large fail retryably, and none is lost on retry")
    func tooLargeAmongOthers() async throws {
        let names = self.names
        try await withConnectedPublisher(self.configuration()) { publisher, _ in
            var messages = numbered(200, queue: names.info)
            messages[100].body = Array(repeating: 32, count: 300_000)
            let results = await publisher.publishAll(messages)
            #expect(results[100].error?.code == .tooLarge)
            for (index, result) in results.enumerated() where index != 100 {
                guard let error = result.error else { continue }
                #expect(error.code == .channelClosed)
                try await publisher.publish(messages[index])
            }
            #expect(publisher.status.connections == 1)
        }
        let bodies = Set(try await self.client.getAll(names.info).map(\.body))
        #expect(bodies.count == 199)
        try await self.cleanUp(names.info)
    }

    @Test("a queue's name that AMQP cannot carry is refused, not retryably")
    func invalidQueue() async throws {
        let publisher = Publisher(configuration: try self.configuration(), logger: LogRecorder().logger)
        for queue in ["", String(repeating: "q", count: 256)] {
            let error = try await publisher.failure(OutgoingMessage(queue: queue, body: []))
            #expect(error.code == .invalidQueue)
            #expect(!error.isRetryable)
        }
    }

    @Test("an empty body is published")
    func emptyBody() async throws {
        let names = self.names
        try await withConnectedPublisher(self.configuration()) { publisher, _ in
            try await publisher.publish(OutgoingMessage(queue: names.info, body: []))
        }
        #expect(try await self.client.get(names.info)?.body == [])
        try await self.cleanUp(names.info)
    }

    @Test("many senders on many tasks")
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

    @Test("graceful shutdown confirms what was taken, then refuses")
    func drain() async throws {
        let names = self.names
        let answers = NIOLockedValueBox([Result<Void, PublishError>]())
        let kept = try await withConnectedPublisher(self.configuration()) { publisher, _ in
            for message in numbered(500, queue: names.info) {
                publisher.publish(message) { result in answers.withLockedValue { $0.append(result) } }
            }
            return publisher
        }
        let results = answers.withLockedValue { $0 }
        #expect(results.count == 500)
        #expect(results.allSatisfy { $0.error == nil || $0.error?.code == .shuttingDown })
        #expect(try await self.client.count(names.info) == results.count { $0.error == nil })
        let error = try await kept.failure(OutgoingMessage(queue: names.info, body: []))
        #expect(error.code == .shuttingDown)
        #expect(error.isRetryable)
        await #expect(throws: (any Error).self) { try await kept.run() }
        try await self.cleanUp(names.info)
    }

    @Test("a cancelled publisher ends, and answers what is in hand")
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
