/// A password that no log, description, dump or mirror ever shows; they show `***`.
package struct Password: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The password itself. Hand it only to what logs in with it.
    let revealed: String

    package init(_ revealed: String) {
        self.revealed = revealed
    }

    package var description: String { "***" }
    package var debugDescription: String { "***" }
    package var customMirror: Mirror { Mirror(self, children: []) }
}
