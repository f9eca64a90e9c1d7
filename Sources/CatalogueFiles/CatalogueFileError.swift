// SPDX-License-Identifier: Apache-2.0

/// An error for a catalogue file that cannot be used. It has all problems of the file, not only the first.
package struct CatalogueFileError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The problems, in the order in which they were found; never empty. Each is one sentence with the file, the line
    /// where there is one, and what to do.
    package let problems: [String]

    init(_ problems: [String]) { self.problems = problems }

    /// The problems, one on each line.
    package var description: String { self.problems.joined(separator: "\n") }
}
