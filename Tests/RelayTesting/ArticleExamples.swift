// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The Swift examples in the articles of a module's documentation catalogue. A test file contains each of them word for
/// word, so that the compiler checks it, and runs it.
package struct ArticleExamples {
    private let examples: [(article: String, code: String)]

    /// Reads the articles in `Sources/MODULE/MODULE.docc`.
    package init(module: String) throws {
        let catalogue = URL(filePath: #filePath).appending(path: "../../../Sources/\(module)/\(module).docc")
            .standardizedFileURL
        let articles = try FileManager.default.contentsOfDirectory(at: catalogue, includingPropertiesForKeys: nil)
            .filter { $0.pathExtension == "md" }
        self.examples = try articles.flatMap { article in
            try String(contentsOf: article, encoding: .utf8).components(separatedBy: "```swift\n").dropFirst().map {
                (article.lastPathComponent, $0.components(separatedBy: "\n```")[0])
            }
        }
    }

    /// The number of examples.
    package var count: Int { self.examples.count }

    /// Returns the examples that a test file does not contain, each after its article. White space does not count, and imports may be elsewhere
    /// in the file.
    ///
    /// - Parameters:
    ///   - file: the path of the test file.
    ///   - replacements: texts of the examples, each with the text that the test file has instead: paths, ports.
    package func missing(
        in file: String, replacing replacements: KeyValuePairs<String, String> = [:]
    ) throws -> [String] {
        let source = Self.joined(try String(contentsOf: URL(filePath: file), encoding: .utf8))
        return self.examples.compactMap { article, code in
            let lines = code.split(separator: "\n")
            let imports = lines.filter { $0.hasPrefix("import ") }
            var rest = lines.filter { !$0.hasPrefix("import ") }.joined(separator: "\n")
            for (text, other) in replacements { rest.replace(text, with: other) }
            let isWhole = imports.allSatisfy { source.contains(Self.joined($0)) } && source.contains(Self.joined(rest))
            return isWhole ? nil : "\(article):\n\(code)"
        }
    }

    private static func joined(_ text: some StringProtocol) -> String { String(text.filter { !$0.isWhitespace }) }
}
