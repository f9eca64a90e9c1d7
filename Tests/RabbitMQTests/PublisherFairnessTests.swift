// SPDX-License-Identifier: Apache-2.0

import BrokerTesting
import DriverErrors
import LogTesting
import NIOConcurrencyHelpers
import Testing

@testable import RabbitMQ

/// Fairness over a real broker: one guest cannot delay the others.
@Suite("Publisher fairness", .timeLimit(.minutes(2))) struct PublisherFairnessTests {
    private let names = UniqueTopic()

    private func message(_ number: Int, sender: UInt64?, size: Int = 64) -> OutgoingMessage {
        var body = Array("{\"number\":\(number)}".utf8)
        if body.count < size { body += Array(repeating: UInt8(ascii: " "), count: size - body.count) }
        return OutgoingMessage(
            queue: self.names.info, body: body, sender: sender.map { .init(key: $0, name: "guest-\($0)") })
    }

    @Test("A guest over its quota is rejected, others are not, and each message is answered once")
    func guestQuota() async throws {
        let broker = try TestBroker.shared()
        try await TCPProxy.with(targetPort: UInt16(broker.port)) { proxy in
            var configuration = try quickConfiguration(broker.url(port: proxy.port), exchange: self.names.exchange)
            configuration.inboxCapacity = 80
            try await withConnectedPublisher(configuration) { publisher, _ in
                try await publisher.publish(self.message(0, sender: nil))
                proxy.set(.stall)
                let answers = NIOLockedValueBox<[Int: [DriverError.BrokerCause?]]>([:])
                let (ends, end) = AsyncStream.makeStream(of: Int.self)
                func send(_ number: Int, sender: UInt64?) {
                    publisher.publish(self.message(number, sender: sender)) { result in
                        answers.withLockedValue { $0[number, default: []].append(result.error?.cause) }
                        end.yield(number)
                    }
                }
                // A guest's quota is an eighth of the inbox: ten messages.
                for number in 1...12 { send(number, sender: 1) }
                for number in 13...20 { send(number, sender: 2) }
                for number in 21...60 { send(number, sender: nil) }
                #expect(answers.withLockedValue { $0 } == [11: [.senderQuotaExceeded], 12: [.senderQuotaExceeded]])
                proxy.set(.forward)
                var answered = 0
                for await _ in ends {
                    answered += 1
                    if answered == 60 { break }
                }
                for (number, codes) in answers.withLockedValue({ $0 }) where !(11...12).contains(number) {
                    #expect(codes == [nil], "\(number)")
                }
                // Its quota is free again.
                for number in 61...70 { try await publisher.publish(self.message(number, sender: 1)) }
            }
        }
        try await self.cleanUp(broker)
    }

    @Test("Guests' large messages use a second connection, and the process's own do not")
    func largeMessages() async throws {
        let broker = try TestBroker.shared()
        try await TCPProxy.with(targetPort: UInt16(broker.port)) { proxy in
            var configuration = try quickConfiguration(broker.url(port: proxy.port), exchange: self.names.exchange)
            configuration.largeMessageBytes = 1000
            try await withPublisher(configuration) { publisher, log in
                // Both connections are opened at the same time.
                await log.first("Connected to RabbitMQ")
                await log.first("Opened a second connection to RabbitMQ for large messages")
                let largeMessageWorker = try #require(publisher.largeMessageWorker)
                #expect(publisher.status.isAvailable && publisher.status.connections == 2)
                let messages: [(Int, UInt64?, Int)] = [(1, 1, 2000), (2, 1, 1000), (3, nil, 2000)]
                for (number, sender, size) in messages {
                    try await publisher.publish(self.message(number, sender: sender, size: size))
                }
                largeMessageWorker.inbox.withLockedValue { $0.sizeLimit = 1500 }
                let error = try await publisher.failure(self.message(4, sender: 1, size: 2000))
                #expect(error.cause == .tooLarge)
                try await publisher.publish(self.message(5, sender: nil, size: 2000))
                try await publisher.publish(self.message(6, sender: 1, size: 1000))
            }
        }
        try await self.cleanUp(broker)
    }

    private func cleanUp(_ broker: TestBroker) async throws {
        let client = BrokerClient(broker)
        try await client.deleteQueue(self.names.info)
        try await client.deleteExchange(self.names.exchange)
    }
}
