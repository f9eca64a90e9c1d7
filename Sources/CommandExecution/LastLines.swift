/// The last lines of a stream of bytes, in bounded memory.
package struct LastLines: Sendable {
    private let lineLimit: Int
    private let byteLimit: Int
    private var bytes: [UInt8] = []

    /// - Parameters:
    ///   - lineLimit: how many lines are kept at most.
    ///   - byteLimit: how many bytes are kept at most; of a longer line, its end.
    package init(lineLimit: Int = 50, byteLimit: Int = 64 << 10) {
        self.lineLimit = lineLimit
        self.byteLimit = byteLimit
    }

    /// Takes more of the stream.
    package mutating func append(_ chunk: some Collection<UInt8>) {
        self.bytes.append(contentsOf: chunk)
        // Trimmed seldom, so that a chatty command costs no copy a chunk.
        if self.bytes.count > 2 * self.byteLimit { self.bytes.removeFirst(self.bytes.count - self.byteLimit) }
    }

    /// The last lines as plain text, without their ends: what is not UTF-8 is replaced, and what only a terminal understands
    /// is removed.
    package var lines: [String] {
        let lines = self.bytes.suffix(self.byteLimit).split(separator: UInt8(ascii: "\n"))
        return lines.suffix(self.lineLimit).compactMap { line in
            let text = TerminalText.plain(
                String(decoding: line.last == UInt8(ascii: "\r") ? line.dropLast() : line, as: UTF8.self))
            // A line of nothing but a change of colour.
            return text.isEmpty && !line.isEmpty ? nil : text
        }
    }
}
