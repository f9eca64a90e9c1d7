// SPDX-License-Identifier: Apache-2.0

internal import Logging
internal import NIOConcurrencyHelpers
internal import ServiceLifecycle

/// One connection of a ``Publisher``, the thread that serves it, and the inbox in front of it.
struct PublisherWorker: Sendable {
    let configuration: PublisherConfiguration
    let logger: Logger
    let inbox: NIOLockedValueBox<PublisherInbox>

    init(configuration: PublisherConfiguration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
        self.inbox = NIOLockedValueBox(
            PublisherInbox(capacity: configuration.inboxCapacity, byteCapacity: configuration.inboxByteCapacity))
    }

    /// Adds a message to the inbox, without waking the thread.
    ///
    /// - Returns: whether the message was accepted; if not, `completion` was called.
    func enqueue(_ message: OutgoingMessage, completion: @escaping PublishCompletion) -> Bool {
        let rejection = self.inbox.withLockedValue {
            $0.enqueue(message, timeout: self.configuration.publishTimeout, completion: completion)
        }
        guard let rejection else { return true }
        completion(.failure(rejection))
        return false
    }

    func flush() {
        self.inbox.withLockedValue { $0.takeWake() }?.signal()
    }

    /// Connects and publishes until graceful shutdown or cancellation. Call it once.
    func run() async throws {
        let wake = try WakeUpEvent()
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
                    // The watchdog's thread sleeps, and ends as soon as it is woken.
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
                // The publisher's thread may hang in a call and not notice the request to stop.
                watchdog.shorten(configuration.drainTimeout)
            }
        } onCancel: {
            self.stop(.immediately)
            watchdog.shorten(.milliseconds(100))
        }
    }

    private func stop(_ stop: PublisherInbox.Stop) {
        self.inbox.withLockedValue { $0.requestStop(stop) }?.signal()
    }
}
