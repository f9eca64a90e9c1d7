// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The bounds of the check, and which of them held.
struct Bounds {
    /// KiB that a process may grow by while the backlog grows fivefold. Outcomes kept in memory would take a hundred.
    static let growth = 10 << 10
    /// Opening a full spool may take so many times what an empty one takes, and a little more: reading through the
    /// backlog takes far longer.
    static let openingRatio = 2
    static let openingAllowance = Duration.milliseconds(50)
    /// Bytes of an empty spool's file that may be in use: some pages for each table.
    static let used = 1 << 20

    private var lines: [String] = []
    /// Whether one did not hold.
    private(set) var isBroken = false

    /// Notes whether a bound holds.
    mutating func check(_ holds: Bool, _ text: String) {
        self.lines.append("\(holds ? "holds " : "BROKEN")  \(text)")
        if !holds { self.isBroken = true }
    }

    /// All of them, a line each.
    var summary: String { "\nBounds:\n" + self.lines.joined(separator: "\n") }
}
