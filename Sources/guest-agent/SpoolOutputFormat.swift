// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestAgent
import Notifications

/// The text and JSON output of the commands that inspect spools.
enum SpoolOutputFormat {
    private static let longest = 400

    /// Returns untrusted text on one line, cut to a limit and without terminal control characters.
    static func oneLine(_ text: String) -> String { text.oneLine(limit: self.longest) }

    /// Returns a number with its noun: `1 outcome`, `2 outcomes`.
    static func count(_ count: Int, _ thing: String) -> String { "\(count) \(thing)\(count == 1 ? "" : "s")" }

    /// Returns a number of bytes in a form for people, such as `1.5 KiB`.
    static func bytes(_ count: Int) -> String {
        if count < 1 << 10 { return Self.count(count, "byte") }
        if count < 1 << 20 { return String(format: "%.1f KiB", Double(count) / 1024) }
        return String(format: "%.1f MiB", Double(count) / 1_048_576)
    }

    /// Returns JSON for people, indented by two spaces a level.
    static func pretty(_ value: JSONValue, indentation: String = "") -> String {
        let inner = indentation + "  "
        func list(_ open: String, _ close: String, _ items: [String]) -> String {
            guard !items.isEmpty else { return open + close }
            return "\(open)\n\(items.map { inner + $0 }.joined(separator: ",\n"))\n\(indentation)\(close)"
        }
        switch value {
        case .array(let elements):
            return list("[", "]", elements.map { self.pretty($0, indentation: inner) })
        case .object(let object):
            return list(
                "{", "}",
                object.members.map { "\(self.json(.string($0.name))): \(self.pretty($0.value, indentation: inner))" })
        default: return self.json(value)
        }
    }

    /// Returns JSON for programs, on one line.
    static func json(_ value: JSONValue) -> String { String(decoding: JSONWriter.encode(value), as: UTF8.self) }
}
