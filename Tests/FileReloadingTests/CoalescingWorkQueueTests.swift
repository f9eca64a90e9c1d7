// SPDX-License-Identifier: Apache-2.0

import Dispatch
import FileReloading
import NIOConcurrencyHelpers
import NIOPosix
import Testing

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
            { isRequested in
                self.sink.yield(isRequested)
                self.gate.wait()
            }
        }
    }

    private let long = Duration.seconds(60)

    @Test("A caller can stop waiting for work that hangs")
    func stopsWaiting() async throws {
        let queue = CoalescingWorkQueue(threads: .singleton)
        let work = Work()
        #expect(queue.elapsed == nil)
        let run = queue.request(isRequested: false, work.hanging)
        #expect(await !queue.wait(for: run, atMost: .milliseconds(10)))
        let waiting = Task { await queue.wait(for: run, atMost: long) }
        waiting.cancel()
        #expect(await !waiting.value)
        #expect(queue.elapsed.map { $0 > .milliseconds(5) } == true)
        work.gate.signal()
        #expect(await queue.wait(for: run, atMost: self.long))
        #expect(queue.elapsed == nil)
        #expect(await queue.wait(for: run, atMost: .zero))
    }

    @Test("Explicit requests that arrive during a run share the next run")
    func coalescedRequests() async throws {
        let queue = CoalescingWorkQueue(threads: .singleton)
        let work = Work()
        var begun = work.begun.makeAsyncIterator()
        let first = queue.request(isRequested: false, work.hanging)
        #expect(await begun.next() == false)
        // A request that no caller made explicitly joins the run in progress.
        #expect(queue.request(isRequested: false, work.hanging) == first)
        let requested = (0..<100).map { _ in queue.request(isRequested: true, work.hanging) }
        #expect(Set(requested) == [first + 1])
        work.gate.signal()
        #expect(await begun.next() == true)
        #expect(await queue.wait(for: first, atMost: self.long))
        work.gate.signal()
        #expect(await queue.wait(for: first + 1, atMost: self.long))
        // Nothing is left to do.
        #expect(queue.elapsed == nil)
        let third = queue.request(isRequested: false) { _ in }
        #expect(third == first + 2)
        #expect(await queue.wait(for: third, atMost: self.long))
    }

    @Test("A stopped thread pool delays no caller, and the work is not done")
    func stoppedPool() async throws {
        let pool = NIOThreadPool(numberOfThreads: 1)
        pool.start()
        try await pool.shutdownGracefully()
        let queue = CoalescingWorkQueue(threads: pool)
        let wasDone = NIOLockedValueBox(false)
        let run = queue.request(isRequested: false) { _ in wasDone.withLockedValue { $0 = true } }
        #expect(await queue.wait(for: run, atMost: self.long))
        #expect(!wasDone.withLockedValue { $0 })
    }
}
