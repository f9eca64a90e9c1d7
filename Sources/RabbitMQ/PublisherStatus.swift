/// What a ``Publisher`` was doing a moment ago.
package struct PublisherStatus: Sendable, Hashable {
    /// Whether a broker takes all messages from us: connected, and not ``blocked``.
    package var isAvailable: Bool { self.host != nil && !self.blocked }
    /// `host:port` of the broker connected to; nil when there is none. With a second connection, nil until there are both.
    package var host: String?
    /// Whether the broker has an alarm and takes no messages on one of the connections.
    package var blocked = false
    /// Messages sent and not yet confirmed.
    package var unconfirmed = 0
    /// Messages that wait to be sent.
    package var inbox = 0
    /// How often a connection was made.
    package var connections = 0

    package init() {}

    /// The status of a publisher with a second connection.
    func joined(with other: PublisherStatus) -> PublisherStatus {
        var joined = self
        if other.host == nil { joined.host = nil }
        joined.blocked = self.blocked || other.blocked
        joined.unconfirmed += other.unconfirmed
        joined.inbox += other.inbox
        joined.connections += other.connections
        return joined
    }
}
