// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import EventLoopScheduling

struct BackgroundWorkStateMachineTests {
    private var queue = BackgroundWorkStateMachine<String, Int>(reportBatchSize: 3)

    @Test("Continuations come before new work, each in order")
    mutating func continuationsFirst() {
        self.queue.add("begins", isContinuation: false)
        self.queue.add("begins too", isContinuation: false)
        self.queue.add("goes on", isContinuation: true)
        self.queue.add("goes on too", isContinuation: true)
        #expect((1...5).map { _ in self.queue.next() } == ["goes on", "goes on too", "begins", "begins too", nil])
    }

    @Test("Reports are gathered into batches while more work waits")
    mutating func reportBatches() {
        for number in 1...5 { self.queue.add("work", isContinuation: number == 2) }
        var passedOn: [[Int]] = []
        for report in 1...5 {
            _ = self.queue.next()
            self.queue.add(report: report)
            passedOn.append(self.queue.ended())
        }
        #expect(passedOn == [[], [], [1, 2, 3], [], [4, 5]])
    }

    /// Abandoned work yields no report, and may be the last.
    @Test("Gathered reports are handed over even if the last work yields none")
    mutating func lastReports() {
        self.queue.add("work", isContinuation: false)
        self.queue.add("abandoned", isContinuation: false)
        _ = self.queue.next()
        self.queue.add(report: 1)
        #expect(self.queue.ended() == [])
        _ = self.queue.next()
        #expect(self.queue.ended() == [1])
        #expect(self.queue.ended() == [])
    }
}
