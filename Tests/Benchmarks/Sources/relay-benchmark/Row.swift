/// A row of the table: a way that messages go, and what it is compared with.
struct Row {
    /// As it is called on the command line and in the table.
    var name: String
    var way: Bench.Way
    /// The name of the row that its rate and latency are compared with.
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

/// The results of a row, a round each.
struct Rounds {
    var results: [LoadResult] = []

    /// The median of what a round yields, and the least and the most.
    func spread(_ value: (LoadResult) -> Double) -> Spread { Spread(self.results.map(value)) }

    /// The same of a quotient, with the other row's result of the same round below.
    func ratio(to other: Rounds, _ value: (LoadResult) -> Double) -> Spread {
        Spread(zip(self.results, other.results).map { value($0) / value($1) })
    }
}

/// Values of several rounds.
struct Spread {
    let median, least, most: Double

    init(_ values: [Double]) {
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

    /// Median and extremes with so many decimals.
    func text(_ decimals: Int) -> String {
        "\(Self.text(self.median, decimals)) (\(Self.text(self.least, decimals)) to \(Self.text(self.most, decimals)))"
    }

    /// A number with so many decimals.
    static func text(_ value: Double, _ decimals: Int) -> String {
        guard value.isFinite else { return "–" }
        var scale = 1.0
        for _ in 0..<decimals { scale *= 10 }
        let scaled = (abs(value) * scale).rounded()
        let whole = Int(scaled / scale)
        guard decimals > 0 else { return "\(value < 0 ? "-" : "")\(whole)" }
        let fraction = "\(Int(scaled) - whole * Int(scale))"
        return "\(value < 0 ? "-" : "")\(whole).\(String(repeating: "0", count: decimals - fraction.count))\(fraction)"
    }
}
