// SPDX-License-Identifier: Apache-2.0

import CatalogueFiles
import Foundation
import Notifications

/// Shorter ways to read a catalogue from a file.
enum CatalogueFixture {
    /// Returns the catalogue of a file with this text.
    static func read(_ yaml: String) throws -> Catalogue { try self.read(Data(yaml.utf8)) }

    /// Returns the catalogue of a file with these bytes.
    static func read(_ bytes: Data) throws -> Catalogue {
        try self.withFile(bytes) { try Catalogue(file: $0) }
    }

    /// Returns the problems of a file with this text, with the file's path shortened to `file.yaml`.
    static func problems(_ yaml: String) throws -> [String] { try self.problems(Data(yaml.utf8)) }

    /// Returns the problems of a file with these bytes.
    static func problems(_ bytes: Data) throws -> [String] {
        try self.withFile(bytes) { path in
            do throws(CatalogueFileError) {
                _ = try Catalogue(file: path)
                return []
            } catch {
                return error.problems.map { $0.replacing(path, with: "file.yaml") }
            }
        }
    }

    private static func withFile<Result>(_ bytes: Data, _ body: (String) throws -> Result) throws -> Result {
        let file = FileManager.default.temporaryDirectory.appending(path: "catalogue-\(UUID().uuidString).yaml")
        try bytes.write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        return try body(file.path)
    }
}
