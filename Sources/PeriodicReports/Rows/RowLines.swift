import Notifications

/// Rows as lines of text: a JSON object each.
struct RowLines {
    /// The longest line, in bytes.
    let maximumLineBytes: Int
    /// The most rows.
    let maximumRows: Int

    /// The rows of a whole text; empty lines count as none.
    ///
    /// - Throws: ``RowSourceError`` that names the line but shows nothing of it, or `CancellationError`.
    func rows(of text: [UInt8]) async throws -> [JSONObject] {
        var rows: [JSONObject] = []
        // One line after another: a slice for each of millions of empty lines would take gigabytes.
        // A byte order mark at the beginning belongs to no line.
        let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
        var (rest, index) = (text.dropFirst(text.starts(with: mark) ? mark.count : 0), -1)
        while !rest.isEmpty {
            let line = rest.prefix { $0 != UInt8(ascii: "\n") }
            rest = rest[line.endIndex...].dropFirst()
            index += 1
            // Reading a hundred thousand rows takes a while: others want the thread too.
            if index % 256 == 255 {
                await Task.yield()
                try Task.checkCancellation()
            }
            guard !line.allSatisfy({ $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\r") }) else { continue }
            guard line.count <= self.maximumLineBytes else {
                throw RowSourceError("line \(index + 1) is longer than \(self.maximumLineBytes) bytes")
            }
            guard rows.count < self.maximumRows else {
                throw RowSourceError("there are more than \(self.maximumRows) rows")
            }
            let value: JSONValue
            do {
                value = try JSONValue(json: Array(line))
            } catch {
                throw RowSourceError("line \(index + 1) is no JSON: \(error)")
            }
            guard case .object(let row) = value else {
                throw RowSourceError("line \(index + 1) is \(value.kind), not a JSON object")
            }
            rows.append(row)
        }
        return rows
    }
}
