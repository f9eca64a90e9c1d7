// SPDX-License-Identifier: Apache-2.0

import BenchmarkFigures

/// A row of the table: a way of sending messages, and the row with which it is compared.
struct Row {
    /// The name on the command line and in the table.
    var name: String
    var way: Bench.Way
    /// The name of the row with which its rate and latency are compared.
    var reference: String?

    static let all: [Row] = [
        Row(name: "direct-classic-1", way: .direct(queue: "classic", window: 1)),
        Row(name: "direct-classic-100", way: .direct(queue: "classic", window: 100)),
        Row(name: "direct-classic-1000", way: .direct(queue: "classic", window: 1000)),
        Row(name: "direct-quorum-1", way: .direct(queue: "quorum", window: 1)),
        Row(name: "direct-quorum-100", way: .direct(queue: "quorum", window: 100)),
        Row(name: "direct-quorum-1000", way: .direct(queue: "quorum", window: 1000)),
        Row(name: "trove", way: .trove(messages: 3000)),
        Row(name: "relay-noop-16x64", way: .relay(conductor: "noop", connections: 16, window: 64)),
        Row(name: "relay-noop-200x1", way: .relay(conductor: "noop", connections: 200, window: 1)),
        Row(
            name: "relay-classic-1x1", way: .relay(conductor: "classic", connections: 1, window: 1),
            reference: "direct-classic-1"),
        Row(
            name: "relay-classic-16x64", way: .relay(conductor: "classic", connections: 16, window: 64),
            reference: "direct-classic-1000"),
        Row(
            name: "relay-classic-200x1", way: .relay(conductor: "classic", connections: 200, window: 1),
            reference: "direct-classic-1000"),
        Row(
            name: "relay-quorum-1x1", way: .relay(conductor: "quorum", connections: 1, window: 1),
            reference: "direct-quorum-1"),
        Row(
            name: "relay-quorum-16x64", way: .relay(conductor: "quorum", connections: 16, window: 64),
            reference: "direct-quorum-1000"),
        Row(
            name: "relay-quorum-200x1", way: .relay(conductor: "quorum", connections: 200, window: 1),
            reference: "direct-quorum-1000"),
    ]
}

/// The results of a row, one for each round.
struct Rounds {
    var results: [LoadResult] = []

    /// Returns the median, the least and the most of a value of the rounds.
    func spread(_ value: (LoadResult) -> Double) -> Spread { Spread(self.results.map(value)) }

    /// Returns the same of a quotient, whose divisor is the other row's result of the same round.
    func ratio(to other: Rounds, _ value: (LoadResult) -> Double) -> Spread {
        Spread(self.results.map(value), over: other.results.map(value))
    }
}

extension Spread {
    /// Returns median and extremes with this many decimals.
    func text(_ decimals: Int) -> String {
        "\(Self.text(self.median, decimals)) (\(Self.text(self.least, decimals)) to \(Self.text(self.most, decimals)))"
    }
}
