import Foundation
import Notifications
import Testing

/// Docs/events.md lists the catalogue.
@Suite struct EventsDocumentTests {
    @Test func theTableIsTheCatalogue() throws {
        let file = URL(fileURLWithPath: #filePath).appending(path: "../../../Docs/events.md").standardizedFileURL
        let rows = try String(contentsOf: file, encoding: .utf8).split(separator: "\n").filter { line in
            Catalogue.dbaas.operations.contains { line.hasPrefix("| `\($0.key)` |") }
        }
        let expected = Catalogue.dbaas.operations.map { operation in
            let fields = operation.end.fields.filter(\.isRequired).map { "`\($0.name)` " }.joined(separator: ", ")
            return "| `\(operation.key)` | \(fields)|"
        }
        #expect(rows.map(String.init) == expected)
    }
}
