// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestAgent

/// A line that a guest prints for the check.
enum GuestLine: Sendable {
    /// The spool is open; with the time that took, and the resident memory of the process in KiB.
    case opened(Duration, resident: Int)
    /// This many outcomes exist.
    case made(Int)
    /// The spool's ledger.
    case counts(OutboxCounts)

    /// Writes the line to standard output at once.
    func say() {
        try? FileHandle.standardOutput.write(contentsOf: Data((self.text + "\n").utf8))
    }

    private var text: String {
        switch self {
        case .opened(let duration, let resident): "opened \(duration / .microseconds(1)) \(resident)"
        case .made(let count): "made \(count)"
        case .counts(let counts):
            "counts \(counts.begun) \(counts.running) \(counts.waiting) \(counts.delivered) \(counts.setAside)"
        }
    }

    /// Reads a line; nil if it is none.
    init?(_ text: String) {
        let words = text.split(whereSeparator: \.isWhitespace)
        let numbers = words.dropFirst().compactMap { Double($0) }
        switch (words.first, numbers.count) {
        case ("opened", 2): self = .opened(.microseconds(numbers[0]), resident: Int(numbers[1]))
        case ("made", 1): self = .made(Int(numbers[0]))
        case ("counts", 5):
            var counts = OutboxCounts()
            counts.begun = Int(numbers[0])
            counts.running = Int(numbers[1])
            counts.waiting = Int(numbers[2])
            counts.delivered = Int(numbers[3])
            counts.setAside = Int(numbers[4])
            self = .counts(counts)
        default: return nil
        }
    }
}
