/// One message for the exchange of the ``PublisherConfiguration``.
///
/// On the wire it has the properties of an oslo notification: content_type `application/json`, content_encoding `utf-8`,
/// delivery_mode 2, priority 0, and headers. These are empty as oslo's are, but for ``guestHeader`` in what a guest has reported.
package struct OutgoingMessage: Sendable, Hashable {
    /// The queue, which is also the routing key: `notification.info`. 1 to 255 bytes of UTF-8.
    package var queue: String
    /// JSON in UTF-8. Not looked at.
    ///
    /// - Important: Bodies must differ (a notification's `_unique_id` sees to it): a message that the broker returns is
    ///   found again by its queue and body.
    package var body: [UInt8]
    /// The guest on whose behalf it is published; nil for messages of the control plane itself.
    package var sender: Sender?

    /// The header with the sender's name. Consumers of oslo.messaging ignore headers.
    package static let guestHeader: StaticString = "x-conductor-guest"

    /// A guest on whose behalf messages are published.
    package struct Sender: Sendable, Hashable {
        /// Distinguishes senders.
        package let key: UInt64
        /// The sender's name, which ``OutgoingMessage/guestHeader`` has; where it is empty there is no such header.
        package let name: String
        /// The longest name in bytes: a frame of headers, which cannot be divided, has room for it whatever size was negotiated.
        package static let longestName = 1024

        /// A sender of this name, which has ``longestName`` bytes at most.
        package init(key: UInt64, name: String) {
            precondition(name.utf8.count <= Self.longestName, "a sender's name has more bytes than a header may")
            self.key = key
            self.name = name
        }
    }

    package init(queue: String, body: [UInt8], sender: Sender? = nil) {
        self.queue = queue
        self.body = body
        self.sender = sender
    }
}
