package import Logging
internal import NIOConcurrencyHelpers
internal import ServiceLifecycle

/// Publishes messages to RabbitMQ, persistent and mandatory, and tells of each whether the broker has confirmed it.
///
/// All of it happens on one thread of the publisher's own, which lives as long as ``run()``. While there is no connection
/// a message is refused at once: senders have their own copy, and know better than a queue here when to try again.
///
/// Exchange and queues are declared as oslo.messaging declares them; what exists with other flags is used as it is, with
/// one warning.
package final class Publisher: Service, Sendable {
    private let configuration: PublisherConfiguration
    private let logger: Logger
    private let inbox: NIOLockedValueBox<PublisherInbox>

    /// Nothing is connected before ``run()``.
    ///
    /// - Parameter logger: Gets one line for each change of state: connected, lost, cannot connect, blocked.
    package init(configuration: PublisherConfiguration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
        self.inbox = NIOLockedValueBox(
            PublisherInbox(capacity: configuration.inboxCapacity, byteCapacity: configuration.inboxByteCapacity))
    }

    /// What the publisher is doing. Cheap: a lock and a copy.
    package var status: PublisherStatus {
        self.inbox.withLockedValue { $0.status }
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
    package func enqueue(_ message: OutgoingMessage, completion: @escaping PublishCompletion) {
        guard (1...255).contains(message.queue.utf8.count) else {
            completion(.failure(.invalidQueue))
            return
        }
        let refusal = self.inbox.withLockedValue {
            $0.offer(message, timeout: self.configuration.publishTimeout, completion: completion)
        }
        if let refusal { completion(.failure(refusal)) }
    }

    /// Wakes the thread, if messages have come since it last looked and nobody has woken it yet.
    package func flush() {
        self.inbox.withLockedValue { $0.takeWake() }?.signal()
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
        let wake = try WakeUp()
        let watchdog = try Watchdog(limit: self.configuration.publishTimeout / 2)
        guard self.inbox.withLockedValue({ $0.begin(wake) }) else {
            throw PublisherRunError(description: "Publisher.run() was called twice")
        }
        defer { self.inbox.withLockedValue { $0.end() } }
        let (configuration, logger, inbox) = (self.configuration, self.logger, self.inbox)
        try await withTaskCancellationHandler {
            try await withGracefulShutdownHandler {
                let guardian = try DedicatedThread.start(name: "rabbit-watchdog") { watchdog.run() }
                defer {
                    // It sleeps, and ends as soon as it is woken.
                    watchdog.end()
                    guardian.join()
                }
                try await DedicatedThread.run(name: "rabbit-publish") {
                    PublisherLoop(
                        configuration: configuration, logger: logger, inbox: inbox, wake: wake, watchdog: watchdog
                    ).run()
                }
            } onGracefulShutdown: {
                self.stop(.draining)
                // The thread may be stuck in a call and see none of this.
                watchdog.hurry(configuration.drainTimeout)
            }
        } onCancel: {
            self.stop(.atOnce)
            watchdog.hurry(.milliseconds(100))
        }
    }

    private func stop(_ stop: PublisherInbox.Stop) {
        self.inbox.withLockedValue { $0.requestStop(stop) }?.signal()
    }
}

/// A use of ``Publisher/run()`` that cannot work.
struct PublisherRunError: Error, CustomStringConvertible {
    let description: String
}
