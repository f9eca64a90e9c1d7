// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers

/// The counts of an attacker, by names that it chooses.
final class Tally: Sendable {
    private let counts = NIOLockedValueBox<[String: Int]>([:])

    /// Adds to a count.
    func add(_ name: String, _ count: Int = 1) { self.counts.withLockedValue { $0[name, default: 0] += count } }

    /// Records a number if it is the highest so far.
    func peak(_ name: String, _ number: Int) {
        self.counts.withLockedValue { $0[name] = max($0[name, default: 0], number) }
    }

    /// Returns the count with this name.
    subscript(_ name: String) -> Int { self.counts.withLockedValue { $0[name, default: 0] } }

    /// One line for each count, for the process that started the attacker.
    var lines: [String] {
        self.counts.withLockedValue { $0 }.sorted { $0.key < $1.key }.map { "tally \($0.value) \($0.key)" }
    }

    /// Reads such a line.
    static func read(_ line: String) -> (name: String, count: Int)? {
        let words = line.split(separator: " ", maxSplits: 2)
        guard words.count == 3, words[0] == "tally", let count = Int(words[1]) else { return nil }
        return (String(words[2]), count)
    }
}
