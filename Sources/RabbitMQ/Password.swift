// SPDX-License-Identifier: Apache-2.0

/// A password that logs, descriptions, dumps and mirrors never show; they show `***`.
package struct Password: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The password itself. Pass it only to code that logs in with it.
    let revealed: String

    package init(_ revealed: String) {
        self.revealed = revealed
    }

    package var description: String { "***" }
    package var debugDescription: String { "***" }
    package var customMirror: Mirror { Mirror(self, children: []) }
}
