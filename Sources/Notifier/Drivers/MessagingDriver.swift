// SPDX-License-Identifier: Apache-2.0

package import DriverErrors
package import Logging
package import Notifications
package import RabbitMQ

/// The `messaging` and `messagingv2` drivers: publish to RabbitMQ exactly as oslo.messaging does.
///
/// A notification of priority `info` goes through the exchange to the queue `<topic>.info`, persistent and mandatory.
/// The driver confirms it when the broker has confirmed it.
package final class MessagingDriver: BatchingDriver {
    /// The maximum number of messages, waiting or unconfirmed, on a broker connection and its second connection for
    /// large messages together.
    package static let maximumInHand = PublisherConfiguration.defaultMaximumInHand

    /// The driver's name, `messaging` or `messagingv2`.
    package let name: String
    private let envelope: Envelope
    private let topic: String
    private let publisher: Publisher

    /// - Parameters:
    ///   - envelope: selects one of the two drivers.
    ///   - topic: the first part of the queues' names.
    ///   - publisher: the connection. Several drivers may share one, and one of them runs it.
    package init(envelope: Envelope, topic: String, publisher: Publisher) {
        self.name = envelope.rawValue
        self.envelope = envelope
        self.topic = topic
        self.publisher = publisher
    }

    /// Creates a driver with a separate connection.
    ///
    /// - Throws: `DriverError` that names the problem of the exchange, the topic or the transport URL.
    package convenience init(envelope: Envelope, configuration: MessagingConfiguration, logger: Logger) throws {
        self.init(
            envelope: envelope, topic: configuration.topic,
            publisher: try Publisher(configuration: .init(configuration), logger: logger))
    }

    /// Publishes the notification.
    package func emit(
        _ notification: NotificationMessage, completion: @escaping @Sendable (Result<Void, DriverError>) -> Void
    ) {
        self.enqueue(notification, completion: completion)
        self.flush()
    }

    /// Adds the notification to the publisher's inbox; the publisher's thread sends it when it wakes.
    package func enqueue(
        _ notification: NotificationMessage, completion: @escaping @Sendable (Result<Void, DriverError>) -> Void
    ) {
        self.enqueue(self.message(of: notification), notification.sender, completion)
    }

    /// Encodes the notification.
    package func prepare(_ notification: NotificationMessage) -> PreparedNotification {
        let (message, sender) = (self.message(of: notification), notification.sender)
        return PreparedNotification { self.enqueue(message, sender, $0) }
    }

    private func message(of notification: NotificationMessage) -> OutgoingMessage {
        OutgoingMessage(
            queue: notification.priority.queue(topic: self.topic), body: self.envelope.encode(notification),
            sender: notification.sender.map { .init(key: $0.key, name: $0.name) })
    }

    private func enqueue(
        _ message: OutgoingMessage, _ sender: NotificationSender?,
        _ completion: @escaping @Sendable (Result<Void, DriverError>) -> Void
    ) {
        let isAccepted = self.publisher.enqueue(message) { [name] result in
            completion(result.mapError { DriverError($0, driver: name) })
        }
        if isAccepted { sender?.charge(bytes: message.body.count) }
    }

    /// Wakes the publisher's thread.
    package func flush() { self.publisher.flush() }

    /// Maintains the connection to the broker, until the task is cancelled or a graceful shutdown begins.
    package func run() async throws { try await self.publisher.run() }
}
