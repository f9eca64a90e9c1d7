// SPDX-License-Identifier: Apache-2.0

package import Timing

/// The configuration of a ``Publisher``. The defaults are oslo.messaging's, for settings that oslo.messaging has.
package struct PublisherConfiguration: Sendable {
    /// The type of the declared queues.
    package enum QueueType: String, Sendable, Hashable, CaseIterable {
        case classic
        /// Queues that the broker's cluster replicates. The exchange and the queues are then durable, even if
        /// ``PublisherConfiguration/durable`` is false.
        case quorum
    }

    package var transportURL: TransportURL
    /// The topic exchange. 1 to 255 bytes.
    package var exchange: String
    /// Whether the exchange and the queues survive a restart of the broker. oslo: `amqp_durable_queues`.
    package var durable = false
    /// The type of the queues. oslo: `rabbit_quorum_queue`.
    package var queueType = QueueType.classic
    /// Queues to declare and bind as soon as a connection is open, so that nothing is lost before a consumer exists.
    package var declareAtStart: [String] = []
    /// The name shown in the broker's list of connections.
    package var connectionName = "conductor"

    /// The heartbeat interval requested from the broker, in whole seconds; 0 disables heartbeats.
    package var heartbeatSeconds = 60
    /// The time limit for each step of a connection to one host: the name lookup, the TCP connection with its TLS
    /// handshake, and the login.
    package var connectTimeout = Duration.seconds(10)
    /// The time limit for one request other than a publish, such as a declaration. The limit is never more than half of
    /// ``publishTimeout``.
    package var requestTimeout = Duration.seconds(10)
    /// The time from `publish` within which each message is answered. If the broker leaves a message unconfirmed for so
    /// long, and has no alarm, it counts as dead and the publisher reconnects.
    package var publishTimeout = Self.defaultPublishTimeout
    /// The time limit for outstanding confirms at shutdown.
    package var drainTimeout = Duration.seconds(10)
    /// The delays before the publisher reconnects, after a connection was lost or every host has failed, and before it
    /// retries a rejected declaration.
    package var backoff = Self.defaultBackoff
    /// The resolver of the hosts' addresses.
    var resolver = NameResolver.system

    /// The maximum number of messages that are sent and not yet confirmed.
    package var window = Self.defaultWindow
    /// The maximum total of their bodies in bytes. The bodies stay in memory until the broker confirms them.
    package var windowBytes = 64 * 1024 * 1024
    /// The maximum number of bytes of one sender that are sent and not yet confirmed; never more than an eighth of
    /// ``windowBytes``. Messages of other senders wait for these bytes, in the broker and on the way to it.
    package var senderWindowBytes = 128 * 1024
    /// The length in bytes above which a sender's messages use a second connection; nil for one connection for all
    /// messages.
    package var largeMessageBytes: Int?
    /// Whether this is the configuration of that second connection.
    var isForLargeMessages = false
    /// The maximum number of messages that wait for space in the window.
    package var inboxCapacity = Self.defaultInboxCapacity
    /// The maximum total of their bodies in bytes. The buffers that hold the bodies may be twice as large, or 2 KiB for
    /// small bodies.
    package var inboxByteCapacity = 64 * 1024 * 1024

    /// The default of ``publishTimeout``.
    package static let defaultPublishTimeout = Duration.seconds(30)
    /// The default of ``backoff``.
    package static let defaultBackoff = Backoff(
        minimum: .milliseconds(500), maximum: .seconds(30), jitter: .full)
    private static let defaultWindow = 1000
    private static let defaultInboxCapacity = 10_000
    /// The maximum number of outstanding messages (waiting or unconfirmed) on both connections, with the default
    /// limits.
    package static let defaultMaximumInHand = 2 * (defaultWindow + defaultInboxCapacity)

    package init(transportURL: TransportURL, exchange: String) {
        self.transportURL = transportURL
        self.exchange = exchange
    }

    /// Whether the exchange and the queues are declared as durable. Quorum queues always are.
    var isDurable: Bool { self.durable || self.queueType == .quorum }
}
