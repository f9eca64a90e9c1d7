import Notifications

/// Names in a catalogue.
enum CatalogueName {
    /// What AMQP and Ceilometer take of an event type, in bytes.
    static let limit = 255

    /// Whether the text is a name: ASCII letters, digits, underscores and hyphens.
    static func isName(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= self.limit && text.utf8.allSatisfy(\.isNameByte)
    }

    /// Whether the text is made of names with dots between them.
    static func isDottedName(_ text: String) -> Bool {
        text.utf8.count <= self.limit
            && text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).allSatisfy { segment in
                !segment.isEmpty && segment.allSatisfy(\.isNameByte)
            }
    }
}
