// SPDX-License-Identifier: Apache-2.0

import Notifications
import RandomTesting
import Testing

@Suite struct TextTruncationTests {
    private static let scalars: [Unicode.Scalar] = [
        "a", "b", " ", "\"", "\\", "\n", "\u{0}", "\u{7F}", "é", "\u{301}", "€", "😀",
    ]

    private func text(_ length: Int, _ random: inout Seeded) -> String {
        var text = String.UnicodeScalarView()
        for _ in 0..<length { text.append(Self.scalars.randomElement(using: &random) ?? "a") }
        return String(text)
    }

    private func encodedLength(_ lines: [String]) -> Int {
        lines.reduce(0) { $0 + JSONWriter.encode(.string($1)).count + 1 }
    }

    @Test("A text that is too long loses its middle, and no more than necessary", arguments: 0..<200 as Range<UInt64>)
    func truncatedText(seed: UInt64) throws {
        var random = Seeded(seed)
        let text = self.text(Int.random(in: 0...800, using: &random), &random)
        let limit = Int.random(in: TextTruncation.markLength...1500, using: &random)
        let cut = TextTruncation.middle(of: text, encodedLength: limit)
        #expect(TextTruncation.encodedLength(of: cut) <= limit)
        #expect(Array(cut.utf8) == Array(TextTruncation.middle(of: text, encodedLength: limit).utf8))
        guard TextTruncation.encodedLength(of: text) > limit else {
            #expect(Array(cut.utf8) == Array(text.utf8))
            return
        }
        let (head, missing, tail) = try #require(self.parts(cut))
        #expect(Array(text.utf8.prefix(head.count)) == head)
        #expect(Array(text.utf8.suffix(tail.count)) == tail)
        #expect(head.count + missing + tail.count == text.utf8.count)
        // No more is left out than necessary: a scalar at either cut takes at most twelve bytes.
        #expect(TextTruncation.encodedLength(of: cut) > limit - TextTruncation.markLength - 12)
    }

    @Test("A trace that is too long loses its middle", arguments: 0..<300 as Range<UInt64>)
    func truncatedTrace(seed: UInt64) throws {
        var random = Seeded(seed)
        let longest = [3, 30, 400, 3000].randomElement(using: &random) ?? 3
        let trace = (0..<Int.random(in: 0...60, using: &random)).map { _ in
            self.text(Int.random(in: 0...longest, using: &random), &random)
        }
        let limit = Int.random(in: (4 * TextTruncation.markLength)...4000, using: &random)
        let cut = TextTruncation.middle(of: trace, encodedLength: limit)
        #expect(self.encodedLength(cut) <= limit)
        guard self.encodedLength(trace) > limit else {
            #expect(cut == trace)
            return
        }
        let index = try #require(cut.firstIndex { self.parts($0) != nil })
        #expect(cut[..<index] == trace.prefix(index))
        let whole = try #require(self.parts(cut[index]))
        if whole.head.isEmpty, whole.tail.isEmpty {
            let tail = cut[(index + 1)...]
            // The last line may be cut too.
            if let last = tail.last, tail.count == 1, let parts = self.parts(last) {
                #expect(trace.last.map { Array($0.utf8.suffix(parts.tail.count)) } == parts.tail)
            } else {
                #expect(tail == trace.suffix(tail.count))
                let missing = trace[index..<(trace.count - tail.count)].reduce(0) { $0 + $1.utf8.count }
                #expect(whole.missing == missing)
            }
        } else {
            #expect(index == cut.count - 1)
        }
    }

    /// Returns the text before a mark, the number of bytes that the mark replaces, and the text after it.
    private func parts(_ text: String) -> (head: [UInt8], missing: Int, tail: [UInt8])? {
        // Matched by scalars: a combining mark of the text may follow our mark.
        let mark = /\[… (\d+) bytes left out\]/.matchingSemantics(.unicodeScalar)
        guard let match = text.firstMatch(of: mark), let missing = Int(match.output.1) else {
            return nil
        }
        return (Array(text[..<match.range.lowerBound].utf8), missing, Array(text[match.range.upperBound...].utf8))
    }
}
