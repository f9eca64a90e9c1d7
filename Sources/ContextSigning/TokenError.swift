/// Why a token is not taken.
package struct TokenError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What is wrong with it, as the rest of a sentence: "has expired". What it quotes of the token is an excerpt.
    package let problem: String

    /// - Parameter problem: what is wrong with it, as the rest of a sentence.
    package init(_ problem: String) { self.problem = problem }

    /// A sentence.
    package var description: String { "The token \(self.problem)" }
}
