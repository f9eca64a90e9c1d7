// SPDX-License-Identifier: Apache-2.0

import Dispatch
import EventLoopScheduling
import Glibc
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Testing

@Suite(.timeLimit(.minutes(2)))
struct BackgroundThreadPoolTests {
    private let eventLoop = MultiThreadedEventLoopGroup.singleton.next()

    /// Returns the result of the work, and whether its completion ran on the event loop.
    private func look<Value: Sendable>(
        _ threads: BackgroundThreadPool, _ work: @escaping @Sendable () -> Value
    ) async throws -> (value: Value, isBack: Bool) {
        let promise = self.eventLoop.makePromise(of: (value: Value, isBack: Bool).self)
        threads.perform(on: self.eventLoop, work) { [eventLoop = self.eventLoop] value in
            promise.succeed((value, eventLoop.inEventLoop))
        }
        return try await promise.futureResult.get()
    }

    /// Blocks the pool's only thread until the returned closure is called, so that all other work waits.
    private func hold(_ threads: BackgroundThreadPool) -> () -> Void {
        let (isHeld, release) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        threads.submit(isContinuation: false) {
            isHeld.signal()
            release.wait()
        }
        isHeld.wait()
        return { release.signal() }
    }

    /// Returns the nice value of a thread; 0 is the calling thread.
    private static func niceness(_ thread: id_t) -> Int32 {
        getpriority(__priority_which_t(PRIO_PROCESS.rawValue), thread)
    }

    @Test("Work runs on a background thread at low priority, and its completion on the event loop")
    func threadAndPriority() async throws {
        let threads = BackgroundThreadPool(count: 2)
        threads.start()
        for _ in 1...10 {
            let found = try await self.look(threads) { [eventLoop = self.eventLoop] in
                (isOnEventLoop: eventLoop.inEventLoop, niceness: Self.niceness(0))
            }
            #expect(!found.value.isOnEventLoop)
            #expect(found.value.niceness == min(19, Self.niceness(id_t(getpid())) + 10))
            #expect(found.isBack)
        }
        await threads.stop()
    }

    /// Every completion runs, whenever the pool stops.
    @Test("All work is done, also before the threads start, while they stop and afterwards")
    func stopping() async throws {
        let done = NIOLockedValueBox(0)
        let threads = BackgroundThreadPool(count: 1)
        let add: @Sendable () -> Void = { done.withLockedValue { $0 += 1 } }
        threads.submit(isContinuation: false, add)
        #expect(done.withLockedValue { $0 } == 1)
        threads.start()
        // The only thread is blocked, so that all other work is waiting when the pool stops.
        let release = self.hold(threads)
        let all = self.eventLoop.makePromise(of: Void.self)
        for number in 1...100 {
            threads.submit(isContinuation: false) {
                add()
                if number == 100 { all.succeed() }
            }
        }
        #expect(done.withLockedValue { $0 } == 1)
        async let stopped: Void = threads.stop()
        try await all.futureResult.get()
        #expect(done.withLockedValue { $0 } == 101)
        release()
        await stopped
        threads.submit(isContinuation: false, add)
        #expect(done.withLockedValue { $0 } == 102)
    }

    @Test("Abandoned work is released at once and does not run")
    func abandonedWork() async throws {
        let threads = BackgroundThreadPool(count: 1)
        threads.start()
        let release = self.hold(threads)
        final class Token: Sendable {}
        weak var kept: Token?
        do {
            let token = Token()
            kept = token
            let pending = threads.perform(on: self.eventLoop) { [token] in
                Issue.record("Abandoned work was done by \(token).")
            } then: { _ in
                Issue.record("Abandoned work was completed.")
            }
            pending.abandon()
        }
        #expect(kept == nil)
        release()
        // This work runs after the place of the abandoned one in the queue.
        #expect(try await self.look(threads) { 7 }.value == 7)
        await threads.stop()
    }

    /// The numbers say how many of four completions had run on the event loop when the third and the fourth work ran.
    @Test(
        "Completions are reported to an event loop in batches", arguments: [(1, [2, 3]), (3, [0, 3]), (9, [0, 0])])
    func reportBatches(reportBatchSize: Int, expected: [Int]) async throws {
        let threads = BackgroundThreadPool(count: 1, reportBatchSize: reportBatchSize)
        threads.start()
        let release = self.hold(threads)
        let told = NIOLockedValueBox(0)
        let found = NIOLockedValueBox<[Int]>([])
        let all = self.eventLoop.makePromise(of: Void.self)
        for number in 1...4 {
            threads.perform(on: self.eventLoop) { [eventLoop = self.eventLoop] in
                guard number > 2 else { return }
                // Completions that are already on the event loop run before this.
                let count = try? eventLoop.submit { told.withLockedValue { $0 } }.wait()
                found.withLockedValue { $0.append(count ?? -1) }
            } then: { _ in
                told.withLockedValue { $0 += 1 }
                if number == 4 { all.succeed() }
            }
        }
        release()
        try await all.futureResult.get()
        #expect(found.withLockedValue { $0 } == expected)
        #expect(told.withLockedValue { $0 } == 4)
        await threads.stop()
    }

    @Test("Continuations of begun work run before new work")
    func continuationsFirst() async throws {
        let threads = BackgroundThreadPool(count: 1)
        threads.start()
        let release = self.hold(threads)
        let done = NIOLockedValueBox<[String]>([])
        let all = self.eventLoop.makePromise(of: Void.self)
        threads.submit(isContinuation: false) {
            done.withLockedValue { $0.append("begins") }
            all.succeed()
        }
        threads.submit(isContinuation: true) { done.withLockedValue { $0.append("goes on") } }
        release()
        try await all.futureResult.get()
        #expect(done.withLockedValue { $0 } == ["goes on", "begins"])
        await threads.stop()
    }

    /// Gathered completions do not wait for work that never runs.
    @Test("Abandoned work does not delay the reports of other work")
    func reportsDespiteAbandonedWork() async throws {
        let threads = BackgroundThreadPool(count: 1, reportBatchSize: 9)
        threads.start()
        let release = self.hold(threads)
        let isTold = self.eventLoop.makePromise(of: Void.self)
        let nothing: @Sendable () -> Void = {}
        threads.perform(on: self.eventLoop, nothing) { isTold.succeed() }
        let abandoned = threads.perform(on: self.eventLoop, nothing) { Issue.record("Abandoned work was completed.") }
        abandoned.abandon()
        release()
        try await isTold.futureResult.get()
        await threads.stop()
    }
}
