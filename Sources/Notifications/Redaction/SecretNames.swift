// SPDX-License-Identifier: Apache-2.0

/// A set of names whose values are secrets, in objects and in text with named values.
struct SecretNames: Sendable {
    /// The names in lower case and with `_` for `-`, grouped by their last byte, which rules out most other names.
    private let names: [[[UInt8]]]

    init(_ names: [String]) {
        var byLastByte = [[[UInt8]]](repeating: [], count: 256)
        for name in names.map({ $0.utf8.map(Self.normalized) }) {
            if let last = name.last { byLastByte[Int(last)].append(name) }
        }
        self.names = byLastByte
    }

    private static func normalized(_ byte: UInt8) -> UInt8 {
        byte == UInt8(ascii: "-") ? UInt8(ascii: "_") : byte.lowered
    }

    /// Returns whether a field of this name holds a secret: the name is in the set, or it ends in one of the set after
    /// a `_` or `-` or with a capital that begins a word.
    func isSecret(field: String) -> Bool {
        let bytes = field.utf8.span
        return self.endsInName(bytes, before: bytes.count) { start in
            start == 0 || Self.normalized(bytes[start - 1]) == UInt8(ascii: "_")
                || (bytes[start].isCapital && !bytes[start - 1].isCapital)
        }
    }

    /// Returns whether one of the names ends at the index and its beginning satisfies the condition.
    private func endsInName(_ text: Span<UInt8>, before end: Int, where isStart: (Int) -> Bool) -> Bool {
        guard end > 0 else { return false }
        for name in self.names[Int(Self.normalized(text[end - 1]))] where name.count <= end {
            let start = end - name.count
            var isSame = true
            for offset in name.indices where Self.normalized(text[start + offset]) != name[offset] {
                isSame = false
                break
            }
            if isSame, isStart(start) { return true }
        }
        return false
    }

    /// Appends the ranges of the values of these names: `name=value`, `name: value`, `"name": "value"`, also within
    /// strings that are themselves escaped.
    func findAssignments(in text: Span<UInt8>, _ secrets: inout [Range<Int>]) {
        var index = 0
        while index < text.count {
            let byte = text[index]
            guard byte == UInt8(ascii: "=") || byte == UInt8(ascii: ":"),
                self.isNamed(in: text, before: index, isColon: byte == UInt8(ascii: ":")),
                let found = Self.value(in: text, behind: index)
            else {
                index += 1
                continue
            }
            if !found.secret.isEmpty, !Self.isPlaceholder(text, found.secret) { secrets.append(found.secret) }
            index = found.end
        }
    }

    private func isNamed(in text: Span<UInt8>, before separator: Int, isColon: Bool) -> Bool {
        var end = separator
        while end > 0, text[end - 1].isBlank { end -= 1 }
        // kwargs['password'] = …
        if end > 1, text[end - 1] == UInt8(ascii: "]"), text[end - 2].isQuote { end -= 1 }
        var isQuoted = false
        if end > 0, text[end - 1].isQuote {
            isQuoted = true
            end -= 1
            while end > 0, text[end - 1] == UInt8(ascii: "\\") { end -= 1 }
        }
        return self.endsInName(text, before: end) { start in
            !isColon || isQuoted || start == 0 || !text[start - 1].isAlphanumeric || Self.isVariable(text, start)
        }
    }

    /// Returns whether the name is the end of a variable's name, such as `rootPassword`. In
    /// `InvalidToken: no such user` it is the end of an error's name, and the text after it is not the token.
    private static func isVariable(_ text: Span<UInt8>, _ start: Int) -> Bool {
        guard text[start].isCapital else { return false }
        var first = start
        let limit = max(0, start - self.longestVariable)
        while first > limit, text[first - 1].isAlphanumeric { first -= 1 }
        return !text[first].isCapital
    }

    private static let longestVariable = 64
    /// Words that mean a missing value, or only whether there is a value: `(using password: YES)`.
    private static let noValues: [StaticString] = [
        "YES", "NO", "yes", "no", "None", "null", "NULL", "nil", "true", "false", "True", "False",
    ]

    private static func isPlaceholder(_ text: Span<UInt8>, _ secret: Range<Int>) -> Bool {
        !text[secret.lowerBound - 1].isQuote && self.noValues.contains { text.holds($0, at: secret) }
    }

    /// Returns the value after `=`, `:`, `==`, `:=` or `=>`; nil after the `::` and `://` of other languages.
    private static func value(in text: Span<UInt8>, behind separator: Int) -> SecretMatch? {
        var start = separator + 1
        if start < text.count {
            let next = text[start]
            if text[separator] == UInt8(ascii: ":"), next == UInt8(ascii: ":") || next == UInt8(ascii: "/") {
                return nil
            }
            if next == UInt8(ascii: "=") || next == UInt8(ascii: ">") { start += 1 }
        }
        return SecretMatch(in: text, at: text.end(from: start) { $0.isBlank })
    }
}

extension UInt8 {
    /// Whether the byte is an ASCII capital.
    fileprivate var isCapital: Bool { self.lowered != self }
    /// Whether the byte is white space within a line: a space or a tab.
    fileprivate var isBlank: Bool { self == 0x20 || self == 0x09 }
}
