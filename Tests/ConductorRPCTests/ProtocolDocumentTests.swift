// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import Foundation
import Testing

/// Docs/protocol.md agrees with the code.
@Suite struct ProtocolDocumentTests {
    private let document: String

    init() throws {
        let file = URL(fileURLWithPath: #filePath).appending(path: "../../../Docs/protocol.md").standardizedFileURL
        self.document = try String(contentsOf: file, encoding: .utf8)
    }

    @Test(
        "The document lists every error code with its reason and whether it is retryable", arguments: RPCError.Code.all)
    func errorCodes(code: RPCError.Code) {
        #expect(self.document.contains("| \(code.number) | `\(code.reason)` | \(code.isRetryable ? "yes" : "no") |"))
    }

    @Test("The document has as many rows of error codes as there are codes")
    func errorCodeCount() {
        let rows = self.document.split(separator: "\n").filter { $0.hasPrefix("| -32") }
        #expect(rows.count == RPCError.Code.all.count)
    }

    @Test("The document's names and numbers are those of the code")
    func numbers() {
        #expect(self.document.contains("`\(RPCProtocol.applicationProtocol)`"))
        #expect(self.document.contains("port \(RPCProtocol.defaultPort)"))
        #expect(self.document.contains("\"version\": \"\(RPCProtocol.version)\""))
        #expect(self.document.contains("stand \(RPCProtocol.maximumDepth) deep"))
        #expect(self.document.contains("\(RPCProtocol.maximumValues) values"))
        #expect(RPCProtocol.defaultMaximumLineLength == 1 << 20)
        #expect(RPCServerHandler.Configuration().window == 1000)
    }
}
