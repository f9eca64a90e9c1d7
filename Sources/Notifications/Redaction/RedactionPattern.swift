/// Literal text with one `*` for a secret: ``Redaction/init(fields:patterns:)`` says what it matches.
///
/// Not a regular expression, whose time an operator could not foresee. Here a byte of text is looked at as often as the
/// pattern is long, at most: a run of white space belongs to one beginning of a match, and the search goes on behind a
/// secret, whether or not the text after the `*` was found there.
struct RedactionPattern: Sendable {
    private enum Step: Sendable {
        /// This byte; a letter of ASCII in either case.
        case byte(UInt8)
        /// One white space.
        case space
        /// One or more white spaces.
        case spaces
        /// A word or quoted string of 128 bytes at most.
        case word
    }

    /// The longest pattern, in bytes.
    static let longest = 256
    private static let longestWord = 128

    /// Bytes that every text with a match has.
    let needs: ByteSet
    /// Bytes of which every text with a match has one, and few others do: no letters, digits or hyphens where it can be helped.
    let telling: [UInt8]
    /// The first byte of a match; nil when that is white space.
    private let first: UInt8?
    private let before: [Step]
    private let after: [Step]
    private let isQuoted: Bool

    /// - Throws: ``RedactionError`` when there is not exactly one `*`, nothing stands before it, or the pattern is
    ///   too long.
    init(_ pattern: String) throws(RedactionError) {
        guard pattern.utf8.count <= Self.longest else {
            throw RedactionError(.pattern, pattern, "is longer than \(Self.longest) bytes")
        }
        let parts = Array(pattern.utf8).split(separator: UInt8(ascii: "*"), omittingEmptySubsequences: false)
        guard parts.count > 1 else {
            throw RedactionError(.pattern, pattern, "has no *, which stands for the secret")
        }
        guard parts.count == 2 else { throw RedactionError(.pattern, pattern, "has more than one *") }
        var (before, after) = (parts[0], parts[1])
        let isQuoted = before.last.map { $0.isQuote && $0 == after.first } ?? false
        if isQuoted {
            before.removeLast()
            after.removeFirst()
        }
        guard before.contains(where: { !$0.isSpace }) else {
            throw RedactionError(.pattern, pattern, "has no text before its *")
        }
        self.init(before: Self.steps(before), after: Self.steps(after), isQuoted: isQuoted)
    }

    /// Matches the literal, any word, the second literal and the secret, with white space in between.
    init(literal: String, thenWord literal2: String) {
        let before = Self.steps(Array(literal.utf8)[...]) + [.spaces, .word, .spaces]
        self.init(before: before + Self.steps(Array(literal2.utf8)[...]) + [.spaces], after: [], isQuoted: false)
    }

    private init(before: [Step], after: [Step], isQuoted: Bool) {
        var before = before
        // All white space before the match is none of it: else each of its bytes would begin one that reads all the rest.
        if case .spaces? = before.first { before[0] = .space }
        if case .byte(let first)? = before.first { self.first = first } else { self.first = nil }
        self.before = before
        self.after = after
        self.isQuoted = isQuoted
        var needs = ByteSet()
        for case .byte(let byte) in before + after { needs.insert(byte) }
        self.needs = needs
        var bytes: [UInt8] = []
        for case .byte(let byte) in before + after { bytes.append(byte) }
        if let mark = bytes.first(where: { !$0.isNameByte }) {
            self.telling = [mark]
        } else if bytes.count < before.count + after.count {
            // White space, or what it ends.
            self.telling = (0...UInt8.max).filter(\.isSpace)
        } else {
            self.telling = [bytes[0]]
        }
    }

    private static func steps(_ text: ArraySlice<UInt8>) -> [Step] {
        var steps: [Step] = []
        for byte in text {
            if !byte.isSpace {
                steps.append(.byte(byte.lowered))
            } else if case .spaces? = steps.last {
                continue
            } else {
                steps.append(.spaces)
            }
        }
        return steps
    }

    /// Appends where in the text the secrets stand.
    func find(in text: Span<UInt8>, _ secrets: inout [Range<Int>]) {
        var index = 0
        while index < text.count {
            if let first, text[index].lowered != first {
                index += 1
                continue
            }
            guard let start = Self.match(self.before, in: text, at: index),
                let found = FoundSecret(in: text, at: start, isQuoted: self.isQuoted)
            else {
                index += 1
                continue
            }
            index = found.end
            if !found.secret.isEmpty, Self.match(self.after, in: text, at: found.end) != nil {
                secrets.append(found.secret)
            }
        }
    }

    /// Where the match of the steps ends that begins here.
    private static func match(_ steps: [Step], in text: Span<UInt8>, at start: Int) -> Int? {
        var index = start
        for step in steps {
            guard index < text.count else { return nil }
            switch step {
            case .byte(let byte):
                guard text[index].lowered == byte else { return nil }
                index += 1
            case .space:
                guard text[index].isSpace else { return nil }
                index += 1
            case .spaces:
                guard text[index].isSpace else { return nil }
                index = text.end(from: index) { $0.isSpace }
            case .word:
                let limit = min(text.count, index + self.longestWord)
                let quote = text[index].isQuote ? text[index] : nil
                var end = quote == nil ? index : index + 1
                while end < limit, quote.map({ text[end] != $0 }) ?? !text[end].isSpace { end += 1 }
                guard end < limit, end > index else { return nil }
                index = quote == nil ? end : end + 1
                // 'user'@'host' is one word.
                if quote != nil { index = text.end(from: index, to: limit) { !$0.isSpace } }
            }
        }
        return index
    }
}
