// SPDX-License-Identifier: Apache-2.0

package import DriverErrors
import Notifications
package import RabbitMQ
import Timing

/// The settings of the broker and of the queues that its consumers read.
public struct MessagingConfiguration: Sendable {
    /// The type of the declared queues.
    public enum QueueType: String, Sendable, Hashable, CaseIterable {
        /// A queue on one node.
        case classic
        /// A queue that the broker's cluster replicates; it and the exchange are durable.
        case quorum
    }

    /// The transport URL of oslo.messaging: `rabbit://user:password@host:port,host2:port2/vhost?ssl=1`. It is a
    /// secret. Without TLS the hosts must be on this machine (`localhost`, 127.0.0.0/8, ::1), unless the URL has
    /// `ssl=0`.
    public var transportURL: String
    /// The exchange; oslo's `control_exchange`.
    public var exchange = "trove"
    /// The first part of the queues' names; oslo's `topics`.
    public var topic = "notification"
    /// Whether exchange and queues are declared durable; oslo's `amqp_durable_queues`.
    public var isDurable = false
    /// The type of the declared queues; oslo's `rabbit_quorum_queue`.
    public var queueType = QueueType.classic
    /// The time after which an unconfirmed notification counts as not published.
    public var publishTimeout = PublisherConfiguration.defaultPublishTimeout
    /// The longest backoff delay between two attempts to connect, after every host has failed.
    public var maximumBackoff = PublisherConfiguration.defaultBackoff.maximum

    /// The length in bytes above which guests' messages use a separate connection; nil for a single connection.
    package var largeMessageBytes: Int?

    /// Returns a transport URL that is safe to print: with its passwords masked, or all of it when it cannot be
    /// parsed.
    package static func redacted(_ transportURL: String) -> String {
        TransportURL.shown(transportURL)
    }

    /// The brokers on other machines that are reached without encryption, as `host:port` each.
    package var plaintextHosts: [String] {
        ((try? TransportURL(self.transportURL))?.plaintextHosts ?? []).map(\.address)
    }

    /// Creates a configuration with this transport URL, and defaults for the rest.
    public init(transportURL: String) { self.transportURL = transportURL }
}

/// These descriptions hide the password in the transport URL.
extension MessagingConfiguration: CustomStringConvertible, CustomReflectable {
    /// The transport URL without its passwords, the exchange and the topic.
    public var description: String {
        "\(Self.redacted(self.transportURL)), exchange \(self.exchange), topic \(self.topic)"
    }

    /// A mirror with only ``description``, so that `dump` cannot print the password either.
    public var customMirror: Mirror { Mirror(self, children: ["description": self.description]) }
}

extension PublisherConfiguration {
    /// - Throws: `DriverError` that names the problem of the exchange, the topic or the transport URL.
    package init(_ configuration: MessagingConfiguration) throws(DriverError) {
        // AMQP allows at most 255 bytes for these names. For a longer name librabbitmq would send a malformed frame,
        // and the broker would close each new connection.
        let suffix = NotificationPriority.allCases.map { $0.queue(topic: "").utf8.count }.max() ?? 0
        for (name, text, limit) in [
            ("messaging.exchange", configuration.exchange, 255),
            ("messaging.topic", configuration.topic, 255 - suffix),
        ] where !(1...limit).contains(text.utf8.count) || text.utf8.contains(0) {
            throw DriverError(
                .rejected, driver: DriverName.messaging.rawValue,
                reason: "\(name) must have 1 to \(limit) bytes, and no NUL")
        }
        do {
            self.init(transportURL: try TransportURL(configuration.transportURL), exchange: configuration.exchange)
        } catch {
            throw DriverError(.rejected, driver: DriverName.messaging.rawValue, reason: error.description)
        }
        self.durable = configuration.isDurable
        switch configuration.queueType {
        case .classic: self.queueType = .classic
        case .quorum: self.queueType = .quorum
        }
        self.publishTimeout = configuration.publishTimeout
        self.backoff.maximum = configuration.maximumBackoff
        self.largeMessageBytes = configuration.largeMessageBytes
        // The queues are declared before the first notification, so that none is lost before a consumer has declared
        // them.
        self.declareAtStart = [NotificationPriority.info, .error].map { $0.queue(topic: configuration.topic) }
    }
}
