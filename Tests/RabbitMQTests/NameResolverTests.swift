// SPDX-License-Identifier: Apache-2.0

import BrokerTesting
import Dispatch
import DriverErrors
import LogTesting
import NIOConcurrencyHelpers
import Testing

@testable import RabbitMQ

@Suite("Unresponsive name servers", .timeLimit(.minutes(2)))
struct NameResolverTests {
    /// Name servers that do not answer until the test calls ``speak()``.
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

        /// Waits until this many more questions have arrived. The scheduler decides when their threads start.
        func next(_ count: Int) async -> Set<String> {
            await self.arrivals.prefix(count).reduce(into: []) { $0.insert($1) }
        }

        func speak() {
            self.gate.lock()
            self.gate.unlock(withValue: true)
        }
    }

    @Test("The resolver stops waiting at the limit, and asks once for each name")
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
        // The limit does not matter here: the servers answer now.
        #expect(try resolver.answers("rabbit-1", within: .seconds(100)))
    }

    @Test("An IP address is not looked up", arguments: ["127.0.0.1", "::1"])
    func address(address: String) throws {
        let servers = SilentServers()
        #expect(try servers.resolver.answers(address, within: .milliseconds(1)))
        #expect(servers.questions.withLockedValue { $0 }.isEmpty)
    }

    @Test(
        "The system's resolver answers for a known and for an unknown name",
        arguments: ["localhost", "no.such.host.invalid"])
    func system(name: String) throws {
        #expect(try NameResolver.system.answers(name, within: .seconds(100)))
    }

    @Test("A publisher rejects messages and ends without name servers, and connects once they answer")
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
            #expect(error.cause == .notConnected && error.isRetryable)
        }
        // The publisher ended although its question is still unanswered.
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
