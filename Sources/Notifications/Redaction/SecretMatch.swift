// SPDX-License-Identifier: Apache-2.0

/// A secret that a rule has found.
struct SecretMatch {
    /// The range of the secret's bytes in the text, without quotes; may be empty.
    let secret: Range<Int>
    /// The index at which the text continues: after the closing quote, if there is one.
    let end: Int

    /// The maximum number of backslashes before an opening quote. A string inside another escaped string has `\"`,
    /// inside two of them `\\\"`.
    private static let maximumBackslashes = 15

    /// Reads the quoted string that begins here, or else the text up to white space, a comma, a semicolon, a quote or a
    /// bracket. A quoted string that is not closed extends to the text's end.
    ///
    /// - Parameter isQuoted: whether only a quoted string is accepted.
    /// - Returns: nil when there is neither.
    init?(in text: Span<UInt8>, at start: Int, isQuoted: Bool = false) {
        if let open = Self.opening(in: text, at: start) {
            self.init(in: text, quotedAt: open.quote, backslashes: open.backslashes)
            return
        }
        guard !isQuoted else { return nil }
        let end = text.end(from: start) { !$0.endsSecret }
        guard end > start else { return nil }
        var secretEnd = end
        // The backslashes that escape a quote belong to the quote.
        if end < text.count, text[end].isQuote {
            while secretEnd > start, text[secretEnd - 1] == UInt8(ascii: "\\") { secretEnd -= 1 }
        }
        self.init(secret: start..<secretEnd, end: end)
    }

    private init(secret: Range<Int>, end: Int) {
        self.secret = secret
        self.end = end
    }

    /// Returns the quote that opens a string here, after a prefix such as Python's `b` and the backslashes that escape
    /// it.
    private static func opening(in text: Span<UInt8>, at start: Int) -> (quote: Int, backslashes: Int)? {
        var index = start
        let limit = min(text.count, start + 2)
        while index < limit, "bfru".utf8.contains(text[index].lowered) { index += 1 }
        for first in [start, index] {
            var quote = first
            let limit = min(text.count, first + self.maximumBackslashes)
            while quote < limit, text[quote] == UInt8(ascii: "\\") { quote += 1 }
            if quote < text.count, text[quote].isQuote { return (quote, quote - first) }
        }
        return nil
    }

    private init(in text: Span<UInt8>, quotedAt open: Int, backslashes: Int) {
        let quote = text[open]
        var index = open + 1
        var run = 0
        while index < text.count {
            switch text[index] {
            case UInt8(ascii: "\\"): run += 1
            case quote:
                // A quote with as many backslashes as the opening one closes the string; a quote with more is escaped
                // one level deeper. In addition, SQL doubles a quote within a string.
                let isDoubled = backslashes == 0 && index + 1 < text.count && text[index + 1] == quote
                if run % (2 * (backslashes + 1)) == backslashes, !isDoubled {
                    self.init(secret: open + 1..<index - backslashes, end: index + 1)
                    return
                }
                if isDoubled { index += 1 }
                run = 0
            default: run = 0
            }
            index += 1
        }
        self.init(secret: open + 1..<text.count, end: text.count)
    }
}

extension UInt8 {
    /// Whether the byte is ASCII white space.
    var isSpace: Bool { self == 0x20 || (0x09...0x0D).contains(self) }
    /// Whether the byte is an ASCII quotation mark: `"`, `'` or a backtick.
    var isQuote: Bool { self == UInt8(ascii: "\"") || self == UInt8(ascii: "'") || self == UInt8(ascii: "`") }
    /// Whether the byte is an ASCII letter or digit.
    var isAlphanumeric: Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(self.lowered)
            || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self)
    }
    /// Whether an unquoted secret ends before this byte.
    var endsSecret: Bool { self.isSpace || self.isQuote || ",;()[]{}<>".utf8.contains(self) }
    /// The lower case of an ASCII capital; any other byte is unchanged.
    var lowered: UInt8 { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(self) ? self | 0x20 : self }
}

extension Span<UInt8> {
    /// Returns the index after the bytes from `start` on that satisfy the condition.
    func end(from start: Int, to limit: Int? = nil, while condition: (UInt8) -> Bool) -> Int {
        let limit = limit ?? self.count
        var index = start
        while index < limit, condition(self[index]) { index += 1 }
        return index
    }

    /// Returns whether the bytes in the range are this text.
    func holds(_ text: StaticString, at range: Range<Int>) -> Bool {
        let text = text.description.utf8
        return text.count == range.count && zip(text, range).allSatisfy { $0 == self[$1] }
    }
}
