import Foundation
import GuestAgent
import Notifications

/// How the commands that look into spools write what they found.
enum SpoolText {
    private static let longest = 400

    /// Text from strangers on one line: cut, and without what a terminal would obey.
    static func oneLine(_ text: String) -> String { text.oneLine(limit: self.longest) }

    /// A number of things: `1 outcome`, `2 outcomes`.
    static func count(_ count: Int, _ thing: String) -> String { "\(count) \(thing)\(count == 1 ? "" : "s")" }

    /// A number of bytes, as people read it.
    static func bytes(_ count: Int) -> String {
        if count < 1 << 10 { return Self.count(count, "byte") }
        if count < 1 << 20 { return String(format: "%.1f KiB", Double(count) / 1024) }
        return String(format: "%.1f MiB", Double(count) / 1_048_576)
    }

    /// JSON for people: two spaces a level.
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

    /// JSON for programs, on one line.
    static func json(_ value: JSONValue) -> String { String(decoding: JSONWriter.encode(value), as: UTF8.self) }
}
