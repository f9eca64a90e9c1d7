// SPDX-License-Identifier: Apache-2.0

/// A field name or a pattern that a ``Redaction`` cannot use.
public struct RedactionError: Error, Sendable, Hashable, CustomStringConvertible {
    /// A part of a redaction.
    package enum Part: String, Sendable, Hashable {
        /// The name of a field.
        case field
        /// A pattern for text.
        case pattern
    }

    /// The part that cannot be used.
    package let part: Part
    /// The field's name or the pattern, as it was given.
    package let text: String
    /// The problem, as the rest of a sentence.
    package let problem: String

    init(_ part: Part, _ text: String, _ problem: String) {
        self.part = part
        self.text = text
        self.problem = problem
    }

    /// One sentence that names the field or pattern, of which it shows at most 64 characters.
    public var description: String {
        "the \(self.part.rawValue) \(self.text.prefix(64).debugDescription) \(self.problem)"
    }
}
