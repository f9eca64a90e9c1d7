public import Logging
public import Notifications
package import RabbitMQ

/// The `messaging` and `messagingv2` drivers: RabbitMQ, exactly as oslo.messaging publishes.
///
/// A notification of priority `info` goes to the queue `<topic>.info`, through the exchange, persistent and mandatory;
/// the driver vouches for it when the broker has confirmed it.
public final class MessagingDriver: NotificationDriver {
    /// What the driver needs to know of the broker and its consumers.
    public struct Configuration: Sendable {
        /// The kind of queues that are declared.
        public enum QueueType: String, Sendable, Hashable, CaseIterable {
            /// A queue on one node.
            case classic
            /// A queue replicated by the broker's cluster; it and the exchange are durable.
            case quorum
        }

        /// oslo.messaging's transport URL: `rabbit://user:password@host:port,host2:port2/vhost?ssl=1`. A secret. Without TLS
        /// the hosts must be on this machine (`localhost`, 127.0.0.0/8, ::1), unless the URL says `ssl=0`.
        public var transportURL: String
        /// oslo's `control_exchange`.
        public var exchange = "trove"
        /// The first part of the queues' names; oslo's `topics`.
        public var topic = "notification"
        /// Whether exchange and queues are declared durable; oslo's `amqp_durable_queues`.
        public var isDurable = false
        /// The kind of queues that are declared; oslo's `rabbit_quorum_queue`.
        public var queueType = QueueType.classic
        /// How long a notification may be unconfirmed before it counts as not published.
        public var publishTimeout = Duration.seconds(30)
        /// The longest pause between two attempts to connect, after every host has failed.
        public var maximumBackoff = Duration.seconds(30)

        /// The length in bytes above which messages of guests go over a connection of their own; nil to have one connection.
        package var largeMessageBytes: Int?

        /// A transport URL as it may be shown: its passwords hidden, and all of it when it cannot be read.
        public static func redacted(_ transportURL: String) -> String {
            TransportURL.shown(transportURL)
        }

        /// The brokers on other machines to which everything is sent in the clear, `host:port` each.
        package var plaintextHosts: [String] {
            ((try? TransportURL(self.transportURL))?.plaintextHosts ?? []).map(\.address)
        }

        /// The defaults, for this transport URL.
        public init(transportURL: String) { self.transportURL = transportURL }
    }

    /// How many messages one connection to a broker, and the second one for large messages, can have in hand.
    package static let maximumInHand = PublisherConfiguration.defaultMaximumInHand

    /// `messaging` or `messagingv2`.
    public let name: String
    private let envelope: Envelope
    private let topic: String
    private let publisher: Publisher

    /// - Parameters:
    ///   - envelope: which of the two drivers.
    ///   - topic: the first part of the queues' names.
    ///   - publisher: the connection; several drivers may share one, which one of them runs.
    package init(envelope: Envelope, topic: String, publisher: Publisher) {
        self.name = envelope.rawValue
        self.envelope = envelope
        self.topic = topic
        self.publisher = publisher
    }

    /// A driver with a connection of its own.
    ///
    /// - Throws: ``DriverError`` that says what is wrong with the transport URL.
    public convenience init(envelope: Envelope, configuration: Configuration, logger: Logger) throws {
        self.init(
            envelope: envelope, topic: configuration.topic,
            publisher: try Publisher(configuration: .init(configuration), logger: logger))
    }

    /// Publishes the notification.
    public func emit(
        _ notification: NotificationMessage, completion: @escaping @Sendable (Result<Void, DriverError>) -> Void
    ) {
        self.enqueue(notification, completion: completion)
        self.flush()
    }

    /// Leaves the notification for the publisher's thread, which finds it when it wakes.
    public func enqueue(
        _ notification: NotificationMessage, completion: @escaping @Sendable (Result<Void, DriverError>) -> Void
    ) {
        self.enqueue(self.message(of: notification), notification.sender, completion)
    }

    /// Encodes the notification.
    public func prepare(_ notification: NotificationMessage) -> PreparedNotification {
        let (message, sender) = (self.message(of: notification), notification.sender)
        return PreparedNotification { self.enqueue(message, sender, $0) }
    }

    private func message(of notification: NotificationMessage) -> OutgoingMessage {
        OutgoingMessage(
            queue: "\(self.topic).\(notification.priority.rawValue)", body: self.envelope.encode(notification),
            sender: notification.sender.map { .init(key: $0.key, name: $0.name) })
    }

    private func enqueue(
        _ message: OutgoingMessage, _ sender: NotificationSender?,
        _ completion: @escaping @Sendable (Result<Void, DriverError>) -> Void
    ) {
        let isTaken = self.publisher.enqueue(message) { [name] result in
            completion(result.mapError { DriverError($0, driver: name) })
        }
        if isTaken { sender?.charge(bytes: message.body.count) }
    }

    /// Wakes the publisher's thread.
    public func flush() { self.publisher.flush() }

    /// Keeps the connection to the broker.
    public func run() async throws { try await self.publisher.run() }
}

extension PublisherConfiguration {
    /// - Throws: ``DriverError`` that says what is wrong with the transport URL.
    package init(_ configuration: MessagingDriver.Configuration) throws(DriverError) {
        // AMQP carries 255 bytes. librabbitmq would send a broken frame, and the broker hang up, again and again.
        let longest = NotificationPriority.allCases.map(\.rawValue.utf8.count).max() ?? 0
        for (name, text, limit) in [
            ("messaging.exchange", configuration.exchange, 255),
            ("messaging.topic", configuration.topic, 255 - longest - 1),
        ] where !(1...limit).contains(text.utf8.count) || text.utf8.contains(0) {
            throw DriverError(
                .refused, driver: DriverName.messaging.rawValue,
                reason: "\(name) must have 1 to \(limit) bytes, and no NUL")
        }
        do {
            self.init(transportURL: try TransportURL(configuration.transportURL), exchange: configuration.exchange)
        } catch {
            throw DriverError(.refused, driver: DriverName.messaging.rawValue, reason: error.description)
        }
        self.durable = configuration.isDurable
        switch configuration.queueType {
        case .classic: self.queueType = .classic
        case .quorum: self.queueType = .quorum
        }
        self.publishTimeout = configuration.publishTimeout
        self.backoff.maximum = configuration.maximumBackoff
        self.largeMessageBytes = configuration.largeMessageBytes
        // Declared before the first notification, so that none is lost while no consumer has declared them yet.
        self.declareAtStart = [NotificationPriority.info, .error].map { "\(configuration.topic).\($0.rawValue)" }
    }
}

extension DriverError {
    fileprivate init(_ error: PublishError, driver: String) {
        let code: Code
        switch error.code {
        case .tooLarge: code = .tooLarge
        case .senderShareFull: code = .rateLimited
        case _ where error.isRetryable: code = .unavailable
        default: code = .refused
        }
        self.init(
            DriverError(code, driver: driver, reason: error.description, limitBytes: error.limit),
            mayHaveArrived: error.mayHaveArrived)
    }
}

/// Shown without the password that the transport URL holds.
extension MessagingDriver.Configuration: CustomStringConvertible, CustomReflectable {
    /// The transport URL without its passwords, the exchange and the topic.
    public var description: String {
        "\(Self.redacted(self.transportURL)), exchange \(self.exchange), topic \(self.topic)"
    }

    /// Shows what ``description`` shows, so that `dump` cannot print the password either.
    public var customMirror: Mirror { Mirror(self, children: ["description": self.description]) }
}
