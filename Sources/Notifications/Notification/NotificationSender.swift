/// The guest whose report became a notification.
///
/// One object for each connection of a guest; objects with the same key are the same guest.
package final class NotificationSender: Sendable, Hashable {
    /// Distinguishes guests. The bits differ from one process to the next.
    package let key: UInt64
    /// The guest's name, for people; empty for a peer without one.
    package let name: String

    /// A sender with this key and this name.
    package init(key: UInt64, name: String) {
        self.key = key
        self.name = name
    }

    package static func == (left: NotificationSender, right: NotificationSender) -> Bool { left.key == right.key }

    package func hash(into hasher: inout Hasher) { hasher.combine(self.key) }
}
