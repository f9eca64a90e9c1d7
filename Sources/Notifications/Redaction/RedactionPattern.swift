// SPDX-License-Identifier: Apache-2.0

/// A literal text with one `*` for a secret; ``Redaction/init(fields:patterns:)`` describes what it matches.
///
/// It is not a regular expression, since an operator could not predict the time that one takes. A pattern reads each
/// byte of a text at most as many times as the pattern has bytes: a run of white space belongs to one candidate only,
/// and the search continues after a secret, whether or not the text after the `*` was found there.
struct RedactionPattern: Sendable {
    private enum Step: Sendable {
        /// This byte; ASCII letters match in either case.
        case byte(UInt8)
        /// One white-space character.
        case space
        /// One or more white-space characters.
        case spaces
        /// A word or a quoted string of at most 128 bytes.
        case word
    }

    /// The maximum length of a pattern, in bytes.
    static let longest = 256
    private static let longestWord = 128

    /// The bytes that occur in every text with a match.
    let needs: ByteSet
    /// Bytes of which every text with a match has at least one, and few other texts do: no letters, digits, hyphens or
    /// underscores if possible.
    let triggerBytes: [UInt8]
    /// The first byte of a match; nil when it is white space.
    private let first: UInt8?
    private let before: [Step]
    private let after: [Step]
    private let isQuoted: Bool

    /// Parses a pattern.
    ///
    /// - Throws: ``RedactionError`` when there is not exactly one `*`, no text before it, or the pattern is too long.
    init(_ pattern: String) throws(RedactionError) {
        guard pattern.utf8.count <= Self.longest else {
            throw RedactionError(.pattern, pattern, "is longer than \(Self.longest) bytes; shorten it")
        }
        let parts = Array(pattern.utf8).split(separator: UInt8(ascii: "*"), omittingEmptySubsequences: false)
        guard parts.count > 1 else {
            throw RedactionError(.pattern, pattern, "has no *; put one in the place of the secret")
        }
        guard parts.count == 2 else { throw RedactionError(.pattern, pattern, "has more than one *; use one") }
        var (before, after) = (parts[0], parts[1])
        let isQuoted = before.last.map { $0.isQuote && $0 == after.first } ?? false
        if isQuoted {
            before.removeLast()
            after.removeFirst()
        }
        guard before.contains(where: { !$0.isSpace }) else {
            throw RedactionError(.pattern, pattern, "has no text before its *; add text that precedes the secret")
        }
        self.init(before: Self.steps(before), after: Self.steps(after), isQuoted: isQuoted)
    }

    /// Creates a pattern that matches the literal, any word, the second literal and the secret, separated by white
    /// space.
    init(literal: String, thenWord literal2: String) {
        let before = Self.steps(Array(literal.utf8)[...]) + [.spaces, .word, .spaces]
        self.init(before: before + Self.steps(Array(literal2.utf8)[...]) + [.spaces], after: [], isQuoted: false)
    }

    private init(before: [Step], after: [Step], isQuoted: Bool) {
        var before = before
        // Only the last white-space byte of a run can begin a match: otherwise each byte would begin a candidate that
        // reads all the rest of the run.
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
            self.triggerBytes = [mark]
        } else if bytes.count < before.count + after.count {
            // White space, or a word, which white space ends.
            self.triggerBytes = (0...UInt8.max).filter(\.isSpace)
        } else {
            self.triggerBytes = [bytes[0]]
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

    /// Appends the ranges of the secrets in the text.
    func find(in text: Span<UInt8>, _ secrets: inout [Range<Int>]) {
        var index = 0
        while index < text.count {
            if let first, text[index].lowered != first {
                index += 1
                continue
            }
            guard let start = Self.match(self.before, in: text, at: index),
                let found = SecretMatch(in: text, at: start, isQuoted: self.isQuoted)
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

    /// Returns the end of the match of the steps that begins here, or nil if they do not match.
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
