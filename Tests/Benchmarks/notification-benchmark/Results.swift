// SPDX-License-Identifier: Apache-2.0

import BenchmarkFigures
import Foundation

/// The times of many measurements of one thing.
struct Samples {
    private var times: [Duration] = []

    mutating func add(_ time: Duration) { self.times.append(time) }
    mutating func add(_ samples: Samples) { self.times += samples.times }

    /// The time that half of them exceeded.
    var median: Duration { self.times.sorted().percentile(50) ?? .zero }
    /// The time that one in a hundred exceeded.
    var p99: Duration { self.times.sorted().percentile(99) ?? .zero }
    /// The number of measurements.
    var count: Int { self.times.count }
}

/// All measurements.
struct Results {
    /// A page is appended to a file and synced.
    var append = Samples()
    /// A page of a file is overwritten and synced, as in SQLite's log most of the time.
    var rewrite = Samples()
    /// One operation, with no conductor.
    var down = Samples()
    /// One operation, with a conductor that accepts the outcomes.
    var up = Samples()
    /// Each of many operations at once, with no conductor.
    var downTogether = Samples()
    /// Each of many operations at once, with a conductor.
    var upTogether = Samples()

    mutating func add(_ other: Results) {
        self.append.add(other.append)
        self.rewrite.add(other.rewrite)
        self.down.add(other.down)
        self.up.add(other.up)
        self.downTogether.add(other.downTogether)
        self.upTogether.add(other.upTogether)
    }

    /// The table for readers, and for Docs/performance.md.
    var table: String {
        let rows: [(String, Samples)] = [
            ("a   append a page and sync", self.append), ("a'  write a page over and sync", self.rewrite),
            ("b   withNotification, no conductor", self.down), ("    with a conductor", self.up),
            ("c   64 at a time, each, no conductor", self.downTogether), ("    with a conductor", self.upTogether),
        ]
        let ratios: [(String, Duration, Duration)] = [
            ("b/a", self.down.median, self.append.median), ("b/a'", self.down.median, self.rewrite.median),
            ("c/b", self.downTogether.median, self.down.median), ("c/a", self.downTogether.median, self.append.median),
            ("d: b, no conductor/with one", self.down.median, self.up.median),
            ("d: c, no conductor/with one", self.downTogether.median, self.upTogether.median),
        ]
        var lines = ["| | median | p99 | samples |", "|---|---|---|---|"]
        for (name, samples) in rows {
            lines.append(
                "| \(name) | \(Self.text(samples.median)) | \(Self.text(samples.p99)) | \(samples.count) |")
        }
        lines += ["", "| ratio of medians | |", "|---|---|"]
        for (name, one, other) in ratios { lines.append("| \(name) | \(Self.text(one / other)) |") }
        return lines.joined(separator: "\n")
    }

    static func text(_ ratio: Double) -> String { String(format: "%.2f", ratio) }
    private static func text(_ time: Duration) -> String { String(format: "%.0f µs", time / .microseconds(1)) }
}
