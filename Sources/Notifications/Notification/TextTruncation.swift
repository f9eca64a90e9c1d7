// SPDX-License-Identifier: Apache-2.0

/// Functions that truncate text so that it fits into JSON of a limited length. They cut between Unicode scalars.
///
/// The result depends on the text and the limit alone: an outcome that is sent again is truncated as before.
package enum TextTruncation {
    /// Returns the mark that replaces this many omitted bytes.
    package static func mark(_ bytes: Int) -> String { "[… \(bytes) bytes left out]" }

    /// The bytes reserved for a mark in JSON: enough for 19 digits, and for the ellipsis as an escape.
    package static let markLength = 45

    /// Returns the number of bytes of the text between its quotes, as ``JSONWriter`` writes it.
    package static func encodedLength(of text: String) -> Int {
        text.unicodeScalars.reduce(0) { $0 + self.length(of: $1) }
    }

    /// Returns the text, or as much of its beginning as fits, with the mark after it.
    package static func beginning(of text: String, encodedLength limit: Int) -> String {
        guard self.encodedLength(of: text) > limit else { return text }
        let end = self.end(of: text.unicodeScalars, limit - self.markLength)
        return text[..<end] + self.mark(text[end...].utf8.count)
    }

    /// Returns the text, or as much of its end as fits, with the mark before it.
    package static func end(of text: String, encodedLength limit: Int) -> String {
        guard self.encodedLength(of: text) > limit else { return text }
        let start = self.end(of: text.unicodeScalars.reversed(), limit - self.markLength).base
        return self.mark(text[..<start].utf8.count) + text[start...]
    }

    /// Returns the text, or as much of its beginning and its end as fits, with the mark in between. The beginning has a
    /// quarter of the space, the end the rest.
    package static func middle(of text: String, encodedLength limit: Int) -> String {
        guard self.encodedLength(of: text) > limit else { return text }
        let room = max(0, limit - self.markLength)
        let head = self.end(of: text.unicodeScalars, room / 4)
        let taken = self.encodedLength(of: String(text[..<head]))
        let tail = self.end(of: text[head...].unicodeScalars.reversed(), room - taken).base
        return text[..<head] + self.mark(text[head..<tail].utf8.count) + text[tail...]
    }

    /// Returns the lines, or as many of the first and the last ones as fit, with the mark as a line in between. The
    /// first lines have a quarter of the space, the last ones the rest. If the last line alone is too long, its middle
    /// is left out.
    ///
    /// - Parameter limit: the maximum number of bytes of the lines, each with its quotes and a comma; at least four
    ///   marks.
    package static func middle(of lines: [String], encodedLength limit: Int) -> [String] {
        let lengths = lines.map { self.encodedLength(of: $0) + 3 }
        guard lengths.reduce(0, +) > limit, let last = lines.last else { return lines }
        var room = limit - self.markLength - 3
        let headRoom = room / 4
        var head = 0
        var used = 0
        while head < lines.count - 1, used + lengths[head] <= headRoom {
            used += lengths[head]
            head += 1
        }
        room -= used
        var tail = lines.count
        while tail > head, lengths[tail - 1] <= room {
            tail -= 1
            room -= lengths[tail]
        }
        var end = Array(lines[tail...])
        if end.isEmpty {
            tail -= 1
            end = [self.middle(of: last, encodedLength: room - 3)]
        }
        guard tail > head else { return lines[..<head] + end }
        return lines[..<head] + [self.mark(lines[head..<tail].reduce(0) { $0 + $1.utf8.count })] + end
    }

    /// Returns the index up to which the scalars take at most this many bytes of JSON.
    private static func end<Scalars: Collection<Unicode.Scalar>>(of scalars: Scalars, _ limit: Int) -> Scalars.Index {
        var left = limit
        var index = scalars.startIndex
        while index != scalars.endIndex {
            left -= self.length(of: scalars[index])
            guard left >= 0 else { break }
            scalars.formIndex(after: &index)
        }
        return index
    }

    private static func length(of scalar: Unicode.Scalar) -> Int {
        switch scalar.value {
        case 0x08, 0x09, 0x0A, 0x0C, 0x0D, 0x22, 0x5C: 2
        case 0x20...0x7E: 1
        case ..<0x10000: 6
        default: 12
        }
    }
}
