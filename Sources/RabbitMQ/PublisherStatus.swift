// SPDX-License-Identifier: Apache-2.0

/// A snapshot of what a ``Publisher`` does.
package struct PublisherStatus: Sendable, Hashable {
    /// Whether a broker accepts all messages: it is connected, and not ``blocked``.
    package var isAvailable: Bool { self.host != nil && !self.blocked }
    /// `host:port` of the connected broker; nil when there is none. With a second connection, nil until both are open.
    package var host: String?
    /// Whether the broker has an alarm and accepts no messages on one of the connections.
    package var blocked = false
    /// The number of messages sent and not yet confirmed.
    package var unconfirmed = 0
    /// The number of messages that wait to be sent.
    package var inbox = 0
    /// The number of connections made so far.
    package var connections = 0

    package init() {}

    /// Returns the status of a publisher with two connections.
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
