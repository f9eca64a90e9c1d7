// SPDX-License-Identifier: Apache-2.0

import BrokerTesting
import Dispatch
import LogTesting
import NIOConcurrencyHelpers
import Testing

@testable import RabbitMQ

@Suite("Name servers that do not answer", .timeLimit(.minutes(2)))
struct NameResolverTests {
    /// Says nothing until the test lets it.
    private final class SilentServers: Sendable {
        private let gate = ConditionLock(value: false)
        let questions = NIOLockedValueBox<[String]>([])
        private let (arrivals, arrival) = AsyncStream.makeStream(of: String.self)

        var resolver: NameResolver {
            NameResolver { name in
                self.questions.withLockedValue { $0.append(name) }
                self.arrival.yield(name)
                self.gate.lock(whenValue: true)
                self.gate.unlock()
            }
        }

        /// Waits until this many more questions have arrived: their threads begin when the machine lets them.
        func next(_ count: Int) async -> Set<String> {
            await self.arrivals.prefix(count).reduce(into: []) { $0.insert($1) }
        }

        func speak() {
            self.gate.lock()
            self.gate.unlock(withValue: true)
        }
    }

    @Test("are not waited for beyond the limit, and one question for a name is enough")
    func silence() async throws {
        let servers = SilentServers()
        let resolver = servers.resolver
        #expect(try !resolver.answers("rabbit-1", within: .milliseconds(50)))
        #expect(try !resolver.answers("rabbit-1", within: .milliseconds(50)))
        #expect(try !resolver.answers("rabbit-2", within: .milliseconds(50)))
        #expect(resolver.askedCount == 2)
        #expect(await servers.next(2) == ["rabbit-1", "rabbit-2"])
        #expect(servers.questions.withLockedValue { $0.count } == 2)
        servers.speak()
        // However long it takes now.
        #expect(try resolver.answers("rabbit-1", within: .seconds(100)))
    }

    @Test("are not asked for an address", arguments: ["127.0.0.1", "::1"])
    func address(address: String) throws {
        let servers = SilentServers()
        #expect(try servers.resolver.answers(address, within: .milliseconds(1)))
        #expect(servers.questions.withLockedValue { $0 }.isEmpty)
    }

    @Test("say no as well as yes", arguments: ["localhost", "no.such.host.invalid"])
    func system(name: String) throws {
        #expect(try NameResolver.system.answers(name, within: .seconds(100)))
    }

    @Test("do not keep messages from being refused, nor the publisher from ending; it connects when they answer")
    func publisher() async throws {
        let (broker, names, servers) = (try TestBroker.shared(), UniqueTopic(), SilentServers())
        let url = broker.url.replacing("@127.0.0.1:", with: "@localhost:")
        var configuration = try quickConfiguration(url, exchange: names.exchange)
        configuration.resolver = servers.resolver
        configuration.connectTimeout = .milliseconds(200)
        let configured = configuration
        let message = OutgoingMessage(queue: names.info, body: [])
        try await withPublisher(configured) { publisher, log in
            let entry = await log.next("Failed to connect to RabbitMQ")
            #expect(entry.metadata["reason"]?.contains("localhost was not resolved in time") == true, "\(entry)")
            let error = try await publisher.failure(message)
            #expect(error.code == .notConnected && error.isRetryable)
        }
        // It ended, though its question is still asked.
        #expect(await servers.next(1) == ["localhost"])
        #expect(servers.questions.withLockedValue { $0 } == ["localhost"])
        var patient = configuration
        patient.connectTimeout = .seconds(10)
        try await withPublisher(patient) { publisher, log in
            servers.speak()
            await log.next("Connected to RabbitMQ")
            try await publisher.publish(message)
        }
        let client = BrokerClient(broker)
        try await client.deleteQueue(names.info)
        try await client.deleteExchange(names.exchange)
    }
}
