// SPDX-License-Identifier: Apache-2.0

/// An error for a token that is rejected.
package struct TokenError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The problem, as the rest of a sentence: "has expired". Text that it quotes from the token is an excerpt.
    package let problem: String

    /// - Parameter problem: the problem, as the rest of a sentence.
    package init(_ problem: String) { self.problem = problem }

    /// The problem as a sentence.
    package var description: String { "The token \(self.problem)" }
}
