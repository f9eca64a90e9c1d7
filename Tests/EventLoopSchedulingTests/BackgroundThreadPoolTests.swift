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

    /// What the work finds where it is done, told on the event loop.
    private func look<Value: Sendable>(
        _ threads: BackgroundThreadPool, _ work: @escaping @Sendable () -> Value
    ) async throws -> (value: Value, isBack: Bool) {
        let promise = self.eventLoop.makePromise(of: (value: Value, isBack: Bool).self)
        threads.perform(on: self.eventLoop, work) { [eventLoop = self.eventLoop] value in
            promise.succeed((value, eventLoop.inEventLoop))
        }
        return try await promise.futureResult.get()
    }

    /// Holds the one thread of these until what is returned is called, so that all else waits.
    private func hold(_ threads: BackgroundThreadPool) -> () -> Void {
        let (isHeld, release) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        threads.submit(isContinuation: false) {
            isHeld.signal()
            release.wait()
        }
        isHeld.wait()
        return { release.signal() }
    }

    /// Of a thread; 0 stands for the caller's.
    private static func niceness(_ thread: id_t) -> Int32 {
        getpriority(__priority_which_t(PRIO_PROCESS.rawValue), thread)
    }

    @Test func workIsDoneElsewhereAndGivesWay() async throws {
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

    /// Whoever waits is told, whenever it stops.
    @Test func allWorkIsDoneWhenTheThreadsStop() async throws {
        let done = NIOLockedValueBox(0)
        let threads = BackgroundThreadPool(count: 1)
        let add: @Sendable () -> Void = { done.withLockedValue { $0 += 1 } }
        threads.submit(isContinuation: false, add)
        #expect(done.withLockedValue { $0 } == 1)
        threads.start()
        // The one thread is held, so that all the rest waits when it is to stop.
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

    @Test func whatIsAbandonedIsLetGo() async throws {
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
        // Behind it.
        #expect(try await self.look(threads) { 7 }.value == 7)
        await threads.stop()
    }

    /// How many of four pieces of work an event loop had been told of when the third and the fourth were done.
    @Test(arguments: [(1, [2, 3]), (3, [0, 3]), (9, [0, 0])])
    func anEventLoopIsToldOfSeveralAtATime(reportBatchSize: Int, expected: [Int]) async throws {
        let threads = BackgroundThreadPool(count: 1, reportBatchSize: reportBatchSize)
        threads.start()
        let release = self.hold(threads)
        let told = NIOLockedValueBox(0)
        let found = NIOLockedValueBox<[Int]>([])
        let all = self.eventLoop.makePromise(of: Void.self)
        for number in 1...4 {
            threads.perform(on: self.eventLoop) { [eventLoop = self.eventLoop] in
                guard number > 2 else { return }
                // What it was told of comes before.
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

    @Test func whoIsBegunGoesBeforeWhoBegins() async throws {
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

    /// What was gathered does not wait for work that is never done.
    @Test func whatIsAbandonedKeepsNoReportBack() async throws {
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
