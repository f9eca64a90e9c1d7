// SPDX-License-Identifier: Apache-2.0

/// The known name that a mistyped name most likely means.
package struct SpellingSuggestion {
    /// The name to suggest.
    package let name: String

    /// Finds the known name nearest to the mistyped one; `nil` if none is near.
    ///
    /// A name that ends in the same segment counts as near: `port` at the top level most likely means `listen.port`.
    package init?(for mistyped: String, among known: some Sequence<String>) {
        // Longer input is no typing mistake, and the comparison costs the product of the lengths.
        guard !mistyped.isEmpty, mistyped.utf8.count <= 64 else { return nil }
        let allowed = max(1, min(3, mistyped.count / 3))
        var best: (name: String, distance: Int)?
        for name in known {
            let distance = Self.distance(Array(mistyped.utf8), Array(name.utf8))
            if distance <= allowed, distance < best?.distance ?? .max {
                best = (name, distance)
            }
        }
        let suffixMatch = known.first { $0.hasSuffix("." + mistyped) }
        guard let name = best?.name ?? suffixMatch else { return nil }
        self.name = name
    }

    /// Returns the end of an error message: ` (did you mean listen.port?)`, or an empty text.
    package static func hint(for mistyped: String, among known: some Sequence<String>) -> String {
        SpellingSuggestion(for: mistyped, among: known).map { " (did you mean \($0.name)?)" } ?? ""
    }

    // Optimal string alignment: like Levenshtein, but two swapped letters (PROT for PORT) are one mistake.
    private static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        guard !left.isEmpty, !right.isEmpty else { return max(left.count, right.count) }
        var beforeLast: [Int] = []
        var last = Array(0...right.count)
        for row in 1...left.count {
            var current = [row]
            for column in 1...right.count {
                let same = left[row - 1] == right[column - 1]
                var cost = min(last[column] + 1, current[column - 1] + 1, last[column - 1] + (same ? 0 : 1))
                if row > 1, column > 1, left[row - 1] == right[column - 2], left[row - 2] == right[column - 1] {
                    cost = min(cost, beforeLast[column - 2] + 1)
                }
                current.append(cost)
            }
            beforeLast = last
            last = current
        }
        return last[right.count]
    }
}
