// SPDX-License-Identifier: Apache-2.0

/// The guest whose report became a notification.
///
/// There is one object for each connection of a guest; objects with the same key represent the same guest.
package final class NotificationSender: Sendable, Hashable {
    /// The key that distinguishes guests. Its bits differ from one process to the next.
    package let key: UInt64
    /// The guest's name in readable form; empty for a peer without one.
    package let name: String
    private let charge: (@Sendable (Int) -> Void)?

    /// Creates a sender with this key and name.
    ///
    /// - Parameter charge: a closure that charges the bytes of a message made from the sender's reports to the sender's
    ///   rate limiter. It must not block.
    package init(key: UInt64, name: String, charge: (@Sendable (Int) -> Void)? = nil) {
        self.key = key
        self.name = name
        self.charge = charge
    }

    /// Charges the sender for a message of this length, once it has been accepted for publishing. A short line can make
    /// a long message: a letter takes up to seven bytes.
    package func charge(bytes: Int) { self.charge?(bytes) }

    package static func == (left: NotificationSender, right: NotificationSender) -> Bool { left.key == right.key }

    package func hash(into hasher: inout Hasher) { hasher.combine(self.key) }
}
