/// What a ``Publisher`` needs to know. Defaults are those of oslo.messaging where it has the setting.
package struct PublisherConfiguration: Sendable {
    /// The kind of queue that is declared.
    package enum QueueType: String, Sendable, Hashable, CaseIterable {
        case classic
        /// Replicated by the broker's cluster. Exchange and queues are then durable, whatever
        /// ``PublisherConfiguration/durable`` says.
        case quorum
    }

    /// How long to wait before the next attempt, after every host has failed: a random time up to a bound that begins at
    /// `minimum` and doubles up to `maximum` (full jitter).
    package struct Backoff: Sendable, Hashable {
        package var minimum: Duration
        package var maximum: Duration

        package init(minimum: Duration = .milliseconds(500), maximum: Duration = .seconds(30)) {
            self.minimum = minimum
            self.maximum = maximum
        }
    }

    package var transportURL: TransportURL
    /// The topic exchange. 1 to 255 bytes.
    package var exchange: String
    /// Whether exchange and queues survive a restart of the broker. oslo: `amqp_durable_queues`.
    package var durable = false
    /// oslo: `rabbit_quorum_queue`.
    package var queueType = QueueType.classic
    /// Queues to declare and bind as soon as a connection is open, so that nothing is lost before a consumer exists.
    package var declareAtStart: [String] = []
    /// Shown in the broker's list of connections.
    package var connectionName = "conductor"

    /// Heartbeat asked of the broker, in whole seconds; 0 turns it off.
    package var heartbeatSeconds = 60
    /// Bound for the TCP connection (and TLS handshake), and again for the login, of one host; and before, for finding its
    /// address.
    package var connectTimeout = Duration.seconds(10)
    /// Bound for one request other than a publish, such as a declaration. A longer time than ``publishTimeout`` is cut.
    package var rpcTimeout = Duration.seconds(10)
    /// Within this time of `publish` each message is answered. A broker that leaves one unconfirmed for so long, without
    /// an alarm of its own, is taken for dead and another connection is made.
    package var publishTimeout = Duration.seconds(30)
    /// Bound for the wait for outstanding confirms at shutdown.
    package var drainTimeout = Duration.seconds(10)
    package var backoff = Backoff()
    /// Finds hosts' addresses.
    var resolver = NameResolver.system

    /// The most messages sent and not yet confirmed.
    package var window = Self.defaultWindow
    /// The same in bytes of their bodies, which are kept until then.
    package var windowBytes = 64 * 1024 * 1024
    /// The most bytes of one sender that are sent and not yet confirmed, and never more than an eighth of ``windowBytes``: they are
    /// what others' messages wait for in the broker and on the way to it.
    package var senderWindowBytes = 128 * 1024
    /// The length in bytes above which a sender's messages go over a connection of their own; nil to have one connection for all.
    package var largeMessageBytes: Int?
    /// Whether this is that connection.
    var isForLargeMessages = false
    /// The most messages that wait for room in the window.
    package var inboxCapacity = Self.defaultInboxCapacity
    /// The same in bytes of their bodies; what these lie in may be twice as large, or 2 KiB for small ones.
    package var inboxByteCapacity = 64 * 1024 * 1024

    private static let defaultWindow = 1000
    private static let defaultInboxCapacity = 10_000
    /// How many messages a publisher with the default bounds can have in hand: that wait or are unconfirmed, on both connections.
    package static let defaultMaximumInHand = 2 * (defaultWindow + defaultInboxCapacity)

    package init(transportURL: TransportURL, exchange: String) {
        self.transportURL = transportURL
        self.exchange = exchange
    }

    /// What is declared, quorum queues being durable always.
    var isDurable: Bool { self.durable || self.queueType == .quorum }
}
