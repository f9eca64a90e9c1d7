// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// Docs/operations.md lists all settings of both programs.
@Suite(.timeLimit(.minutes(1))) struct OperationsDocumentTests {
    @Test("Docs/operations.md lists every setting of each program", arguments: [Program.conductor, Program.guestAgent])
    func listedSettings(program: Program) async throws {
        let file = URL(fileURLWithPath: #filePath).appending(path: "../../../Docs/operations.md").standardizedFileURL
        let document = try String(contentsOf: file, encoding: .utf8)
        let table = try await program.run(["settings"]).standardOutput.joined(separator: "\n")
        #expect(table.contains("| `tls.key` |"))
        #expect(document.contains(table.trimmingCharacters(in: .newlines)), "replace the table by:\n\(table)")
    }
}
