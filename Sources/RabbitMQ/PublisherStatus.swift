/// What a ``Publisher`` was doing a moment ago.
package struct PublisherStatus: Sendable, Hashable {
    /// Whether a broker takes messages from us: connected, and not ``blocked``.
    package var isAvailable: Bool { self.host != nil && !self.blocked }
    /// `host:port` of the broker connected to; nil when there is none.
    package var host: String?
    /// Whether the broker has an alarm and takes no messages.
    package var blocked = false
    /// Messages sent and not yet confirmed.
    package var unconfirmed = 0
    /// Messages that wait to be sent.
    package var inbox = 0
    /// How often a connection was made.
    package var connections = 0

    package init() {}
}
