// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The memory of a process in KiB, from `/proc/<pid>/status`.
struct ProcessMemory: Sendable {
    /// The current resident memory: VmRSS.
    let resident: Int
    /// The peak resident memory: VmHWM.
    let peak: Int

    /// - Throws: ``CheckError`` if the process no longer exists.
    init(of process: Int32) throws {
        var values: [Substring: Int] = [:]
        let status = try String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)
        for line in status.split(separator: "\n") {
            let words = line.split(whereSeparator: \.isWhitespace)
            if words.count == 3, words[2] == "kB" { values[words[0]] = Int(words[1]) }
        }
        guard let resident = values["VmRSS:"], let peak = values["VmHWM:"] else {
            throw CheckError("/proc/\(process)/status has no memory line; has the process ended?")
        }
        self.resident = resident
        self.peak = peak
    }
}

/// The reason why the check could not be made, in a sentence.
struct CheckError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
