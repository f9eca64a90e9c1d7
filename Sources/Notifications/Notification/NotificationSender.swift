/// The guest whose report became a notification.
///
/// One object for each connection of a guest; objects with the same key are the same guest.
package final class NotificationSender: Sendable, Hashable {
    /// Distinguishes guests. The bits differ from one process to the next.
    package let key: UInt64
    /// The guest's name, for people; empty for a peer without one.
    package let name: String
    private let charge: (@Sendable (Int) -> Void)?

    /// A sender with this key and this name.
    ///
    /// - Parameter charge: takes the bytes of each message that is made of the sender's reports out of the sender's share.
    ///   It must not block.
    package init(key: UInt64, name: String, charge: (@Sendable (Int) -> Void)? = nil) {
        self.key = key
        self.name = name
        self.charge = charge
    }

    /// Charges the sender for a message of this length, once it was taken to be published. A short line can make a long message: a
    /// letter takes up to seven bytes.
    package func charge(bytes: Int) { self.charge?(bytes) }

    package static func == (left: NotificationSender, right: NotificationSender) -> Bool { left.key == right.key }

    package func hash(into hasher: inout Hasher) { hasher.combine(self.key) }
}
