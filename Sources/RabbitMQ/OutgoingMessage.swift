// SPDX-License-Identifier: Apache-2.0

/// A message for the exchange of the ``PublisherConfiguration``.
///
/// On the wire it has the properties of an oslo notification: content_type `application/json`, content_encoding
/// `utf-8`, delivery_mode 2, priority 0, and headers. The headers are empty, as oslo's are, except for ``guestHeader``
/// in a message that a guest has reported.
package struct OutgoingMessage: Sendable, Hashable {
    /// The queue, which is also the routing key: `notification.info`. 1 to 255 bytes of UTF-8.
    package var queue: String
    /// JSON in UTF-8; not parsed.
    ///
    /// - Important: Bodies must be unique (a notification's `_unique_id` makes them so): when the broker returns a
    ///   message, it is identified by its queue and body.
    package var body: [UInt8]
    /// The guest on whose behalf the message is published; nil for messages of the control plane itself.
    package var sender: Sender?

    /// The header with the sender's name. Consumers of oslo.messaging ignore headers.
    package static let guestHeader: StaticString = "x-conductor-guest"

    /// A guest on whose behalf messages are published.
    package struct Sender: Sendable, Hashable {
        /// A number that identifies the sender.
        package let key: UInt64
        /// The sender's name, the value of ``OutgoingMessage/guestHeader``. If it is empty, there is no such header.
        package let name: String
        /// The maximum length of a name in bytes. A header frame cannot be split, and holds a name of this length
        /// whatever frame size was negotiated.
        package static let maximumNameLength = 1024

        /// Creates a sender. A name of more than ``maximumNameLength`` bytes is a programming error and traps.
        package init(key: UInt64, name: String) {
            precondition(name.utf8.count <= Self.maximumNameLength, "a sender's name has more bytes than a header may")
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
