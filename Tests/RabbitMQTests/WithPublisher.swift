// SPDX-License-Identifier: Apache-2.0

import BrokerTesting
import DriverErrors
import LogTesting
import Logging
import NIOConcurrencyHelpers
import ServiceLifecycle
import ServiceLifecycleTestKit
import Testing
import Timing

@testable import RabbitMQ

/// Runs a publisher around `body`, and shuts it down gracefully afterwards.
func withPublisher<Value: Sendable>(
    _ configuration: PublisherConfiguration,
    _ body: @escaping @Sendable (Publisher, LogRecorder) async throws -> Value
) async throws -> Value {
    let log = LogRecorder()
    let publisher = Publisher(configuration: configuration, logger: log.logger)
    let service: any Service = publisher
    return try await testGracefulShutdown { trigger in
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await service.run() }
            let value = try await body(publisher, log)
            trigger.triggerGracefulShutdown()
            try await group.waitForAll()
            return value
        }
    }
}

/// Runs a publisher around `body` like ``withPublisher(_:_:)``, but calls `body` once it is connected.
func withConnectedPublisher<Value: Sendable>(
    _ configuration: PublisherConfiguration,
    _ body: @escaping @Sendable (Publisher, LogRecorder) async throws -> Value
) async throws -> Value {
    try await withPublisher(configuration) { publisher, log in
        await log.next("Connected to RabbitMQ")
        return try await body(publisher, log)
    }
}

/// Returns a configuration with a short backoff, so that tests do not wait.
func quickConfiguration(_ url: String, exchange: String) throws -> PublisherConfiguration {
    var configuration = PublisherConfiguration(transportURL: try TransportURL(url), exchange: exchange)
    configuration.backoff = .init(minimum: .milliseconds(20), maximum: .milliseconds(200))
    configuration.connectTimeout = .seconds(10)
    configuration.connectionName = "tests"
    return configuration
}

extension Publisher {
    /// Returns the error of a publish that must fail.
    func failure(_ message: OutgoingMessage) async throws -> DriverError {
        do throws(DriverError) {
            try await self.publish(message)
        } catch {
            return error
        }
        throw TestBrokerError("the message was confirmed, and should not have been")
    }

    /// Publishes like a real sender: retries while the error is retryable.
    func publishRetrying(_ message: OutgoingMessage) async throws {
        while true {
            do throws(DriverError) {
                return try await self.publish(message)
            } catch {
                guard error.isRetryable else { throw error }
                try Task.checkCancellation()
                await Task.yield()
            }
        }
    }

    /// Publishes all messages at once and waits for all answers.
    func publishAll(_ messages: [OutgoingMessage]) async -> [Result<Void, DriverError>] {
        let answers = NIOLockedValueBox((results: [Int: Result<Void, DriverError>](), twice: 0))
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            for (index, message) in messages.enumerated() {
                self.publish(message) { result in
                    let isLast = answers.withLockedValue {
                        if $0.results.updateValue(result, forKey: index) != nil { $0.twice += 1 }
                        return $0.results.count == messages.count
                    }
                    if isLast { continuation.resume() }
                }
            }
        }
        let (results, twice) = answers.withLockedValue { $0 }
        #expect(twice == 0)
        return messages.indices.compactMap { results[$0] }
    }
}

extension Result where Success == Void, Failure == DriverError {
    var error: DriverError? {
        if case .failure(let error) = self { error } else { nil }
    }
}

/// Returns messages with different bodies, as notifications have.
func numbered(_ count: Int, queue: String, size: Int = 64) -> [OutgoingMessage] {
    (0..<count).map { number in
        var body = Array("{\"number\":\(number)}".utf8)
        if body.count < size { body += Array(repeating: UInt8(ascii: " "), count: size - body.count) }
        return OutgoingMessage(queue: queue, body: body)
    }
}
