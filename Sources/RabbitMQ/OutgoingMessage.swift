/// One message for the exchange of the ``PublisherConfiguration``.
///
/// On the wire it has exactly the properties of an oslo notification: content_type `application/json`, content_encoding
/// `utf-8`, delivery_mode 2, priority 0, empty headers, and nothing else.
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

    /// A guest on whose behalf messages are published.
    package struct Sender: Sendable, Hashable {
        /// Distinguishes senders.
        package let key: UInt64
        /// The sender's name; may be empty.
        package let name: String

        package init(key: UInt64, name: String) {
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
