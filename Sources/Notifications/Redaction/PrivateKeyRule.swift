// SPDX-License-Identifier: Apache-2.0

/// A rule that finds private keys in PEM form: the text between `-----BEGIN … PRIVATE KEY-----` and `-----END`.
enum PrivateKeyRule {
    private static let begin = Array("-----BEGIN ".utf8)
    private static let dashes = Array("-----".utf8)
    private static let kind = Array("PRIVATE KEY-----".utf8)
    private static let end = Array("-----END".utf8)
    /// The maximum length of the label between `BEGIN` and the dashes, in bytes, such as `ENCRYPTED PRIVATE KEY`.
    private static let longestLabel = 64

    /// Appends the ranges of the keys. A key whose end is cut off extends to the text's end.
    static func find(in text: Span<UInt8>, _ secrets: inout [Range<Int>]) {
        var index = 0
        while let label = self.end(of: self.begin, in: text, from: index, to: text.count) {
            index = label
            let limit = min(text.count, label + self.longestLabel)
            guard let start = self.end(of: self.dashes, in: text, from: label, to: limit),
                start - label >= self.kind.count, self.matches(self.kind, in: text, at: start - self.kind.count)
            else { continue }
            let end = self.end(of: self.end, in: text, from: start, to: text.count).map { $0 - self.end.count }
            index = end ?? text.count
            if start < index { secrets.append(start..<index) }
        }
    }

    /// Returns the index after the first occurrence of the word between the two indices.
    private static func end(of word: [UInt8], in text: Span<UInt8>, from start: Int, to limit: Int) -> Int? {
        var index = start
        while index + word.count <= limit {
            if text[index] == word[0], self.matches(word, in: text, at: index) { return index + word.count }
            index += 1
        }
        return nil
    }

    private static func matches(_ word: [UInt8], in text: Span<UInt8>, at start: Int) -> Bool {
        word.indices.allSatisfy { text[start + $0] == word[$0] }
    }
}
