/// Why a catalogue file cannot be used: everything that is wrong with it, not only the first.
package struct CatalogueFileError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What is wrong, in the file's order, never empty. One sentence each, with the file, the line and what to do.
    package let problems: [String]

    init(_ problems: [String]) { self.problems = problems }

    /// The sentences, one a line.
    package var description: String { self.problems.joined(separator: "\n") }
}
