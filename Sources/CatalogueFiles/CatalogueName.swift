// SPDX-License-Identifier: Apache-2.0

import Notifications

/// Rules for the names in a catalogue.
enum CatalogueName {
    /// The longest event type that AMQP and Ceilometer accept, in bytes.
    static let limit = 255

    /// Whether the text is a name: 1 to 255 ASCII letters, digits, underscores and hyphens.
    static func isName(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= self.limit && text.utf8.allSatisfy(\.isNameByte)
    }

    /// Whether the text consists of names with dots between them, 255 bytes at most.
    static func isDottedName(_ text: String) -> Bool {
        text.utf8.count <= self.limit
            && text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).allSatisfy { segment in
                !segment.isEmpty && segment.allSatisfy(\.isNameByte)
            }
    }
}
