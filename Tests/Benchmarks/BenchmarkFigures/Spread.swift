// SPDX-License-Identifier: Apache-2.0

/// The values of several rounds.
package struct Spread: Sendable {
    /// The median and the extremes.
    package let median, least, most: Double

    package init(_ values: [Double]) {
        let sorted = values.sorted()
        (self.least, self.most) = (sorted.first ?? .nan, sorted.last ?? .nan)
        let middle = sorted.count / 2
        if sorted.isEmpty {
            self.median = .nan
        } else if sorted.count.isMultiple(of: 2) {
            self.median = (sorted[middle - 1] + sorted[middle]) / 2
        } else {
            self.median = sorted[middle]
        }
    }

    /// Creates the spread of the quotients of two values that were measured in the same rounds.
    package init(_ values: [Double], over others: [Double]) { self.init(zip(values, others).map { $0 / $1 }) }

    /// Returns median, least and most as cells of a table, with this many decimals.
    package func cells(_ decimals: Int) -> String {
        [self.median, self.least, self.most].map { Self.text($0, decimals) }.joined(separator: " | ")
    }

    /// Returns a number with this many decimals.
    package static func text(_ value: Double, _ decimals: Int) -> String {
        guard value.isFinite else { return "–" }
        var scale = 1.0
        for _ in 0..<decimals { scale *= 10 }
        let digits = String(Int((abs(value) * scale).rounded()))
        let padded = String(repeating: "0", count: max(0, decimals + 1 - digits.count)) + digits
        let sign = value < 0 ? "-" : ""
        return decimals == 0 ? sign + padded : "\(sign)\(padded.dropLast(decimals)).\(padded.suffix(decimals))"
    }
}
