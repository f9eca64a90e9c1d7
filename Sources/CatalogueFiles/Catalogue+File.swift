// SPDX-License-Identifier: Apache-2.0

package import Notifications
import Settings

extension Catalogue {
    /// Reads a service's catalogue from a YAML file (Docs/operations.md has the format). Blocks while the file is read.
    ///
    /// - Parameter file: the path of the file, which has at most 1 MiB.
    /// - Throws: ``CatalogueFileError`` with all problems in the file, or with the reason why it cannot be read.
    package init(file: String) throws(CatalogueFileError) {
        let document: YAMLDocument
        do {
            document = try YAMLDocument(
                path: file,
                purpose: .init(kind: "catalogue", contents: "a catalogue, which begins with \"service:\","))
        } catch {
            throw CatalogueFileError(error.problems.map(\.message))
        }
        var reader = CatalogueReader(path: file)
        let catalogue = reader.catalogue(document)
        guard let catalogue, reader.problems.isEmpty else { throw CatalogueFileError(reader.problems) }
        self = catalogue
    }
}
