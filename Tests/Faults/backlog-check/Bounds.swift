// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The bounds of the check, and whether each of them held.
struct Bounds {
    /// The maximum growth of a process in KiB while the backlog grows fivefold. Outcomes kept in memory would take a
    /// hundred.
    static let growth = 10 << 10
    /// Opening a full spool may take this many times as long as opening an empty one, and a little more: reading
    /// through the backlog takes far longer.
    static let openingRatio = 2
    static let openingAllowance = Duration.milliseconds(50)
    /// The maximum number of bytes in use in the file of an empty spool: some pages for each table.
    static let used = 1 << 20

    private var lines: [String] = []
    /// Whether any bound did not hold.
    private(set) var isBroken = false

    /// Records whether a bound holds.
    mutating func check(_ holds: Bool, _ text: String) {
        self.lines.append("\(holds ? "holds " : "BROKEN")  \(text)")
        if !holds { self.isBroken = true }
    }

    /// All of them, a line each.
    var summary: String { "\nBounds:\n" + self.lines.joined(separator: "\n") }
}
