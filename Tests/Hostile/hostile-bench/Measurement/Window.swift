// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers

/// A stretch of time in which well-behaved guests are measured: what was sent in it, and how long the answers took.
final class Window: Sendable {
    private struct State {
        var sent = 0
        var times: [Duration] = []
        var wrong: [String] = []
    }

    private let state = NIOLockedValueBox(State())

    /// A request was sent.
    func sent() { self.state.withLockedValue { $0.sent += 1 } }
    /// It was answered as it should be.
    func answered(after time: Duration) { self.state.withLockedValue { $0.times.append(time) } }
    /// It was not.
    func failed(_ reason: String) { self.state.withLockedValue { $0.wrong.append(reason) } }

    /// How many were sent.
    var sentCount: Int { self.state.withLockedValue { $0.sent } }
    /// The times of those that were answered.
    var latencies: Latencies { Latencies(self.state.withLockedValue { $0.times }) }
    /// What went wrong with the others.
    var wrong: [String] { self.state.withLockedValue { $0.wrong } }
    /// How many have had no answer yet, right or wrong.
    var openCount: Int { self.state.withLockedValue { $0.sent - $0.times.count - $0.wrong.count } }

    /// Waits for the answers that are still to come.
    ///
    /// - Returns: how many did not come.
    func settle(_ patience: Duration) async -> Int {
        let end = ContinuousClock.now + patience
        while self.openCount > 0, ContinuousClock.now < end { try? await Task.sleep(for: .milliseconds(5)) }
        return self.openCount
    }
}

/// Times of one kind.
struct Latencies {
    private var sorted: [Duration]

    init(_ times: [Duration] = []) { self.sorted = times.sorted() }

    /// All of these together.
    static func joined(_ all: [Latencies]) -> Latencies { Latencies(all.flatMap(\.sorted)) }

    var count: Int { self.sorted.count }
    var median: Duration { self.percentile(50) }
    var p99: Duration { self.percentile(99) }
    var maximum: Duration { self.sorted.last ?? .zero }

    private func percentile(_ percent: Int) -> Duration {
        self.sorted.isEmpty ? .zero : self.sorted[min(self.sorted.count - 1, self.sorted.count * percent / 100)]
    }
}
