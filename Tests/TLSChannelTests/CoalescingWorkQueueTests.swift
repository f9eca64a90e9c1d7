// SPDX-License-Identifier: Apache-2.0

import Dispatch
import NIOConcurrencyHelpers
import NIOPosix
import Testing

@testable import TLSChannel

/// Blocking work, one piece at a time.
@Suite(.timeLimit(.minutes(1)))
struct CoalescingWorkQueueTests {
    /// Work that hangs until it is released, and reports each start.
    private final class Work: Sendable {
        let gate = DispatchSemaphore(value: 0)
        let begun: AsyncStream<Bool>
        private let sink: AsyncStream<Bool>.Continuation

        init() { (self.begun, self.sink) = AsyncStream.makeStream(of: Bool.self) }

        var hanging: CoalescingWorkQueue.Work {
            { isAsked in
                self.sink.yield(isAsked)
                self.gate.wait()
            }
        }
    }

    private let long = Duration.seconds(60)

    @Test("A caller can stop waiting for work that hangs")
    func stopsWaiting() async throws {
        let turns = CoalescingWorkQueue(threads: .singleton)
        let work = Work()
        #expect(turns.lasting == nil)
        let turn = turns.request(isAsked: false, work.hanging)
        #expect(await !turns.wait(for: turn, atMost: .milliseconds(10)))
        let waiting = Task { await turns.wait(for: turn, atMost: long) }
        waiting.cancel()
        #expect(await !waiting.value)
        #expect(turns.lasting.map { $0 > .milliseconds(5) } == true)
        work.gate.signal()
        #expect(await turns.wait(for: turn, atMost: self.long))
        #expect(turns.lasting == nil)
        #expect(await turns.wait(for: turn, atMost: .zero))
    }

    @Test("Explicit requests that arrive during a run share the next run")
    func coalescedRequests() async throws {
        let turns = CoalescingWorkQueue(threads: .singleton)
        let work = Work()
        var begun = work.begun.makeAsyncIterator()
        let first = turns.request(isAsked: false, work.hanging)
        #expect(await begun.next() == false)
        // A request that no caller made explicitly joins the run in progress.
        #expect(turns.request(isAsked: false, work.hanging) == first)
        let asked = (0..<100).map { _ in turns.request(isAsked: true, work.hanging) }
        #expect(Set(asked) == [first + 1])
        work.gate.signal()
        #expect(await begun.next() == true)
        #expect(await turns.wait(for: first, atMost: self.long))
        work.gate.signal()
        #expect(await turns.wait(for: first + 1, atMost: self.long))
        // Nothing is left to do.
        #expect(turns.lasting == nil)
        let third = turns.request(isAsked: false) { _ in }
        #expect(third == first + 2)
        #expect(await turns.wait(for: third, atMost: self.long))
    }

    @Test("A stopped thread pool delays no caller, and the work is not done")
    func stoppedPool() async throws {
        let pool = NIOThreadPool(numberOfThreads: 1)
        pool.start()
        try await pool.shutdownGracefully()
        let turns = CoalescingWorkQueue(threads: pool)
        let wasDone = NIOLockedValueBox(false)
        let turn = turns.request(isAsked: false) { _ in wasDone.withLockedValue { $0 = true } }
        #expect(await turns.wait(for: turn, atMost: self.long))
        #expect(!wasDone.withLockedValue { $0 })
    }
}
