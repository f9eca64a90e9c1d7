// SPDX-License-Identifier: Apache-2.0

/// A buffer of the last lines of a stream of bytes, in bounded memory.
package struct LineTailBuffer: Sendable {
    private let lineLimit: Int
    private let byteLimit: Int
    private var bytes: [UInt8] = []

    /// - Parameters:
    ///   - lineLimit: the largest number of lines to keep.
    ///   - byteLimit: the largest number of bytes to keep. Of a longer line, the end is kept.
    package init(lineLimit: Int = 50, byteLimit: Int = 64 << 10) {
        self.lineLimit = lineLimit
        self.byteLimit = byteLimit
    }

    /// Appends bytes of the stream.
    package mutating func append(_ chunk: some Collection<UInt8>) {
        self.bytes.append(contentsOf: chunk)
        // Trimmed rarely, so that a command with much output does not cost a copy for each chunk.
        if self.bytes.count > 2 * self.byteLimit { self.bytes.removeFirst(self.bytes.count - self.byteLimit) }
    }

    /// The last lines that are not empty, as plain text without their ends. Bytes that are not UTF-8 are replaced, and
    /// control sequences for terminals are removed.
    package var lines: [String] {
        let lines = self.bytes.suffix(self.byteLimit).split(separator: UInt8(ascii: "\n"))
        return lines.suffix(self.lineLimit).compactMap { line in
            let text = TerminalText.plain(
                String(decoding: line.last == UInt8(ascii: "\r") ? line.dropLast() : line, as: UTF8.self))
            // Drops a line that contains only a change of colour; the split has dropped empty ones.
            return text.isEmpty ? nil : text
        }
    }
}
