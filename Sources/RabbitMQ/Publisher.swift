// SPDX-License-Identifier: Apache-2.0

package import DriverErrors
package import Logging
internal import NIOConcurrencyHelpers
internal import ServiceLifecycle

/// A publisher of persistent, mandatory messages to RabbitMQ, which reports for each message whether the broker
/// confirmed it.
///
/// A dedicated thread does all the work and lives as long as ``run()``. There are two threads if large messages of
/// senders have their own connection. While there is no connection, a message is rejected at once: senders have their
/// own copy, and know better than a queue here when to retry.
///
/// The exchange and the queues are declared as oslo.messaging declares them. If one exists with other flags, it is used
/// unchanged, with one warning in the log.
package final class Publisher: Service, Sendable {
    let worker: PublisherWorker
    /// The worker for large messages of senders, so that no small message waits behind them on the same connection.
    let largeMessageWorker: PublisherWorker?
    private let largeMessageBytes: Int

    /// Creates a publisher. It does not connect before ``run()``.
    ///
    /// - Parameter logger: Logs one line for each change of state: connected, lost, cannot connect, blocked.
    package init(configuration: PublisherConfiguration, logger: Logger) {
        self.worker = PublisherWorker(configuration: configuration, logger: logger)
        guard let bytes = configuration.largeMessageBytes else {
            self.largeMessageWorker = nil
            self.largeMessageBytes = .max
            return
        }
        var (large, largeLogger) = (configuration, logger)
        large.isForLargeMessages = true
        large.connectionName += "-large"
        largeLogger[metadataKey: "connection"] = "large messages"
        self.largeMessageWorker = PublisherWorker(configuration: large, logger: largeLogger)
        self.largeMessageBytes = bytes
    }

    /// The publisher's current status, which is available only while each of its connections is. Reading it is cheap:
    /// one lock and one copy for each connection.
    package var status: PublisherStatus {
        let status = self.worker.inbox.withLockedValue { $0.status }
        guard let large = self.largeMessageWorker?.inbox.withLockedValue({ $0.status }) else { return status }
        return status.joined(with: large)
    }

    /// Publishes a message.
    ///
    /// May be called on any thread; does not block.
    ///
    /// - Parameter completion: Called exactly once, within ``PublisherConfiguration/publishTimeout`` and with no lock
    ///   held: on the publisher's thread or, if the message is rejected at once, on the caller's thread before this
    ///   returns. It must not block.
    package func publish(_ message: OutgoingMessage, completion: @escaping PublishCompletion) {
        self.enqueue(message, completion: completion)
        self.flush()
    }

    /// Publishes a message as ``publish(_:completion:)`` does, but may delay it until ``flush()``, which must follow
    /// soon.
    ///
    /// - Returns: whether the message was accepted; if not, `completion` was called.
    @discardableResult
    package func enqueue(_ message: OutgoingMessage, completion: @escaping PublishCompletion) -> Bool {
        guard (1...255).contains(message.queue.utf8.count) else {
            completion(.failure(.invalidQueue))
            return false
        }
        if let largeMessageWorker, message.body.count > self.largeMessageBytes, message.sender != nil {
            return largeMessageWorker.enqueue(message, completion: completion)
        }
        return self.worker.enqueue(message, completion: completion)
    }

    /// Wakes each thread for which messages have arrived since it last took some, unless it was woken for them already.
    package func flush() {
        self.worker.flush()
        self.largeMessageWorker?.flush()
    }

    /// Publishes a message and returns when the broker has confirmed it.
    ///
    /// Ignores cancellation: the message may be in flight, and the answer comes within
    /// ``PublisherConfiguration/publishTimeout`` anyway.
    package func publish(_ message: OutgoingMessage) async throws(DriverError) {
        let result = await withCheckedContinuation { continuation in
            self.publish(message) { continuation.resume(returning: $0) }
        }
        try result.get()
    }

    /// Connects and publishes until graceful shutdown or cancellation. Call it once.
    ///
    /// A graceful shutdown waits for outstanding confirms, for at most ``PublisherConfiguration/drainTimeout``. A
    /// cancellation does not wait.
    ///
    /// - Throws: An error if the system has no thread or descriptor left, or if `run` is called twice. Never because of
    ///   the broker.
    package func run() async throws {
        guard let largeMessageWorker else { return try await self.worker.run() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.worker.run() }
            group.addTask { try await largeMessageWorker.run() }
            try await group.waitForAll()
        }
    }
}

/// An invalid use of ``Publisher/run()``.
struct PublisherRunError: Error, CustomStringConvertible {
    let description: String
}
