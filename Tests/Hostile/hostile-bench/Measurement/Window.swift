// SPDX-License-Identifier: Apache-2.0

import BenchmarkFigures
import NIOConcurrencyHelpers

/// A period in which well-behaved guests are measured: the requests that were sent, and the times of their answers.
final class Window: Sendable {
    private struct State {
        var sent = 0
        var times: [Duration] = []
        var wrong: [String] = []
    }

    private let state = NIOLockedValueBox(State())

    /// Records a request that was sent.
    func sent() { self.state.withLockedValue { $0.sent += 1 } }
    /// Records a correct answer.
    func answered(after time: Duration) { self.state.withLockedValue { $0.times.append(time) } }
    /// Records a wrong answer.
    func failed(_ reason: String) { self.state.withLockedValue { $0.wrong.append(reason) } }

    /// The number of requests that were sent.
    var sentCount: Int { self.state.withLockedValue { $0.sent } }
    /// The times of the requests that were answered.
    var latencies: Latencies { Latencies(self.state.withLockedValue { $0.times }) }
    /// The problems of the others.
    var wrong: [String] { self.state.withLockedValue { $0.wrong } }
    /// The number of requests without an answer so far.
    var openCount: Int { self.state.withLockedValue { $0.sent - $0.times.count - $0.wrong.count } }

    /// Waits for the missing answers.
    ///
    /// - Returns: the number of answers that did not arrive.
    func settle(_ patience: Duration) async -> Int {
        let end = ContinuousClock.now + patience
        while self.openCount > 0, ContinuousClock.now < end { try? await Task.sleep(for: .milliseconds(5)) }
        return self.openCount
    }
}

/// The times of one kind of request.
struct Latencies {
    private var sorted: [Duration]

    init(_ times: [Duration] = []) { self.sorted = times.sorted() }

    /// Returns all of these together.
    static func joined(_ all: [Latencies]) -> Latencies { Latencies(all.flatMap(\.sorted)) }

    var count: Int { self.sorted.count }
    var median: Duration { self.sorted.percentile(50) ?? .zero }
    var p99: Duration { self.sorted.percentile(99) ?? .zero }
    var maximum: Duration { self.sorted.last ?? .zero }
}
