package import Logging
internal import NIOConcurrencyHelpers
internal import ServiceLifecycle

/// Publishes messages to RabbitMQ, persistent and mandatory, and reports of each whether the broker has confirmed it.
///
/// All of it happens on one thread of the publisher's own, which lives as long as ``run()``; on two, where senders' large
/// messages have a connection of their own. While there is no connection a message is refused at once: senders have their own
/// copy, and know better than a queue here when to try again.
///
/// Exchange and queues are declared as oslo.messaging declares them; what exists with other flags is used as it is, with
/// one warning.
package final class Publisher: Service, Sendable {
    let lane: PublisherLane
    /// For senders' large messages, so that no small message waits on one connection until they are through.
    let largeLane: PublisherLane?
    private let largeMessageBytes: Int

    /// Nothing is connected before ``run()``.
    ///
    /// - Parameter logger: Gets one line for each change of state: connected, lost, cannot connect, blocked.
    package init(configuration: PublisherConfiguration, logger: Logger) {
        self.lane = PublisherLane(configuration: configuration, logger: logger)
        guard let bytes = configuration.largeMessageBytes else {
            self.largeLane = nil
            self.largeMessageBytes = .max
            return
        }
        var (large, largeLogger) = (configuration, logger)
        large.isForLargeMessages = true
        large.connectionName += "-large"
        largeLogger[metadataKey: "connection"] = "large messages"
        self.largeLane = PublisherLane(configuration: large, logger: largeLogger)
        self.largeMessageBytes = bytes
    }

    /// What the publisher is doing: available only while each of its connections is. Cheap: a lock and a copy of each.
    package var status: PublisherStatus {
        let status = self.lane.inbox.withLockedValue { $0.status }
        guard let large = self.largeLane?.inbox.withLockedValue({ $0.status }) else { return status }
        return status.joined(with: large)
    }

    /// Publishes a message.
    ///
    /// May be called on any thread; does not block.
    ///
    /// - Parameter completion: Called exactly once, with no lock held, on the publisher's thread or, when the message is
    ///   refused at once, on the caller's before this returns. It must not block. Comes within
    ///   ``PublisherConfiguration/publishTimeout``.
    package func publish(_ message: OutgoingMessage, completion: @escaping PublishCompletion) {
        self.enqueue(message, completion: completion)
        self.flush()
    }

    /// Publishes a message as ``publish(_:completion:)`` does, but it may lie here until ``flush()``, which must follow soon.
    ///
    /// - Returns: whether the message was taken; if not, `completion` was called.
    @discardableResult
    package func enqueue(_ message: OutgoingMessage, completion: @escaping PublishCompletion) -> Bool {
        guard (1...255).contains(message.queue.utf8.count) else {
            completion(.failure(.invalidQueue))
            return false
        }
        if let largeLane, message.body.count > self.largeMessageBytes, message.sender != nil {
            return largeLane.enqueue(message, completion: completion)
        }
        return self.lane.enqueue(message, completion: completion)
    }

    /// Wakes the thread, if messages have come since it last looked and it was not woken since.
    package func flush() {
        self.lane.flush()
        self.largeLane?.flush()
    }

    /// Publishes a message and returns when the broker has confirmed it.
    ///
    /// Cancellation is not looked at: the message may be on its way, and the answer comes within
    /// ``PublisherConfiguration/publishTimeout`` anyway.
    package func publish(_ message: OutgoingMessage) async throws(PublishError) {
        let result = await withCheckedContinuation { continuation in
            self.publish(message) { continuation.resume(returning: $0) }
        }
        try result.get()
    }

    /// Connects and publishes until graceful shutdown (outstanding confirms are waited for, for at most
    /// ``PublisherConfiguration/drainTimeout``) or cancellation (they are not). To be called once.
    ///
    /// - Throws: When the system has no thread or descriptor left, or `run` is called twice. Never because of the broker.
    package func run() async throws {
        guard let largeLane else { return try await self.lane.run() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.lane.run() }
            group.addTask { try await largeLane.run() }
            try await group.waitForAll()
        }
    }
}

/// A use of ``Publisher/run()`` that cannot work.
struct PublisherRunError: Error, CustomStringConvertible {
    let description: String
}
