// SPDX-License-Identifier: Apache-2.0

import Foundation

/// What is printed.
enum Report {
    /// Prints a line at once, whatever standard output is.
    static func say(_ line: String) { FileHandle.standardOutput.write(Data("\(line)\n".utf8)) }

    /// A time in milliseconds.
    static func text(_ time: Duration) -> String { String(format: "%.2f ms", time / .milliseconds(1)) }
    /// A ratio.
    static func text(_ ratio: Double) -> String { String(format: "%.2f", ratio) }
    /// KiB as MiB.
    static func text(kibibytes: Int) -> String { String(format: "%.1f MiB", Double(kibibytes) / 1024) }

    /// A line of the table; also what it would be in Docs/performance.md.
    static func row(_ cells: [String]) -> String { "| " + cells.joined(separator: " | ") + " |" }
}
