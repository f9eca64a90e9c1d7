// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// Docs/architecture.md names the code that decides each question in its table.
@Suite(.timeLimit(.minutes(1))) struct ArchitectureDocumentTests {
    private static let heading = "## Where is it decided?"
    private static let keywords: Set<String> = [
        "struct", "enum", "class", "actor", "func", "extension", "case", "let", "var",
    ]

    @Test("Each symbol in the table of Docs/architecture.md is declared in its file")
    func declaredSymbols() throws {
        let rows = try Self.rows()
        #expect(rows.count >= 20)
        for row in rows {
            let cells = row.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            guard cells.count == 4, let symbol = Self.code(cells[2]), let path = Self.code(cells[3]) else {
                Issue.record("write `| question | answer | symbol | file |`, the last two in backticks, not: \(row)")
                continue
            }
            guard let text = try? Self.text(of: path) else {
                Issue.record("\(path) does not exist or is no text; name the file that declares \(symbol)")
                continue
            }
            #expect(
                Self.lines(of: text).contains { Self.declares(symbol, $0) },
                "\(path) does not declare \(symbol); name the symbol that answers: \(cells[0])")
        }
    }

    /// Returns the rows of the table, without its head.
    private static func rows() throws -> [String] {
        let lines = Self.lines(of: try Self.text(of: "Docs/architecture.md"))
        let section = try #require(lines.firstIndex(of: Self.heading), "there is no section `\(Self.heading)`")
        let body = lines[(section + 1)...].prefix { !$0.hasPrefix("## ") }
        // The line below the head begins with a bar and a dash.
        return Array(body.filter { $0.hasPrefix("| ") }.dropFirst())
    }

    /// Returns whether the line declares this name, or extends the type of this name.
    private static func declares(_ name: String, _ line: String) -> Bool {
        guard !line.trimmingCharacters(in: .whitespaces).hasPrefix("//") else { return false }
        let words = line.split { !($0.isLetter || $0.isNumber || $0 == "_") }.map(String.init)
        return zip(words, words.dropFirst()).contains { Self.keywords.contains($0) && $1 == name }
    }

    /// Returns the text between the backticks of a cell; nil for any other cell.
    private static func code(_ cell: String) -> String? {
        guard cell.count > 2, cell.hasPrefix("`"), cell.hasSuffix("`") else { return nil }
        return String(cell.dropFirst().dropLast())
    }

    private static func lines(of text: String) -> [String] {
        text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }

    /// - Parameter path: the file's path from the root of the package.
    private static func text(of path: String) throws -> String {
        let file = URL(fileURLWithPath: #filePath).appending(path: "../../../\(path)").standardizedFileURL
        return try String(contentsOf: file, encoding: .utf8)
    }
}
