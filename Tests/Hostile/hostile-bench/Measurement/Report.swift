// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The output of the bench.
enum Report {
    /// Prints a line at once, even if standard output is buffered.
    static func say(_ line: String) { FileHandle.standardOutput.write(Data("\(line)\n".utf8)) }

    /// Returns a time in milliseconds.
    static func text(_ time: Duration) -> String { String(format: "%.2f ms", time / .milliseconds(1)) }
    /// Returns a ratio.
    static func text(_ ratio: Double) -> String { String(format: "%.2f", ratio) }
    /// Returns KiB as MiB.
    static func text(kibibytes: Int) -> String { String(format: "%.1f MiB", Double(kibibytes) / 1024) }

    /// Returns a row of the table, in the format of Docs/performance.md.
    static func row(_ cells: [String]) -> String { "| " + cells.joined(separator: " | ") + " |" }
}
