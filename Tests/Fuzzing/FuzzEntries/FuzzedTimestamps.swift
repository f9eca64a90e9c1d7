// SPDX-License-Identifier: Apache-2.0

import Notifications

/// Reads the text of times, in all forms of RFC 3339, and checks what is published of them.
enum FuzzedTimestamps {
    private static let field = FieldDefinition(name: "when", kind: .timestamp, isRequired: true, description: "")
    private static let years: Range<Int64> = 0..<253_402_300_800_000_000

    static func problem(with bytes: [UInt8]) -> String? {
        guard let text = String(validating: bytes, as: UTF8.self) else { return nil }
        let published = self.field.published(.string(text))
        guard let time = NotificationTimestamp(text) else {
            return published == .string(text) ? nil : "what is no time is published as one"
        }
        guard self.years.contains(time.microsecondsSinceEpoch) else { return "a time beyond all years" }
        guard NotificationTimestamp(time.description) == time else { return "what was written is another time" }
        guard let again = published.string.flatMap({ NotificationTimestamp($0) }), again == time else {
            return "what is published is another time"
        }
        guard let form = published.string, self.isPlain(Array(form.utf8)) else {
            return "what is published few can read"
        }
        guard self.field.published(.string(form)) == .string(form) else {
            return "what is published is published otherwise"
        }
        return nil
    }

    /// Whether Python's `datetime.fromisoformat` reads it: `YYYY-MM-DD`, `T` or a space, `HH:MM:SS`, one to six digits,
    /// `Z`.
    private static func isPlain(_ text: [UInt8]) -> Bool {
        let pattern = Array("0000-00-00T00:00:00".utf8)
        guard text.count >= pattern.count else { return false }
        for (byte, expected) in zip(text, pattern) {
            switch expected {
            case UInt8(ascii: "0"): guard self.isDigit(byte) else { return false }
            case UInt8(ascii: "T"): guard byte == expected || byte == UInt8(ascii: " ") else { return false }
            default: guard byte == expected else { return false }
            }
        }
        var rest = text[pattern.count...]
        if rest.last == UInt8(ascii: "Z") { rest.removeLast() }
        guard let point = rest.first else { return true }
        return point == UInt8(ascii: ".") && (2...7).contains(rest.count) && rest.dropFirst().allSatisfy(self.isDigit)
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
}
