// SPDX-License-Identifier: Apache-2.0

import Notifications

/// Parses rows from lines of text with one JSON object each.
struct RowLineParser {
    /// The longest line, in bytes.
    let maximumLineBytes: Int
    /// The maximum number of rows.
    let maximumRows: Int

    /// Parses the rows of a whole text; empty lines are ignored.
    ///
    /// - Throws: ``RowSourceError`` that names the line but does not show its content, or `CancellationError`.
    func rows(of text: [UInt8]) async throws -> [JSONObject] {
        var rows: [JSONObject] = []
        // Lines are split one at a time: a slice for each of millions of empty lines would take gigabytes. A byte order
        // mark at the beginning belongs to no line.
        let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
        var (rest, index) = (text.dropFirst(text.starts(with: mark) ? mark.count : 0), -1)
        while !rest.isEmpty {
            let line = rest.prefix { $0 != UInt8(ascii: "\n") }
            rest = rest[line.endIndex...].dropFirst()
            index += 1
            // Parsing a hundred thousand rows takes a while: yield the thread to other tasks.
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
                throw RowSourceError("line \(index + 1) is not valid JSON: \(error)")
            }
            guard case .object(let row) = value else {
                throw RowSourceError("line \(index + 1) is \(value.kind), not a JSON object")
            }
            rows.append(row)
        }
        return rows
    }
}
