import Dispatch
import EventLoopFairness
import Glibc
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Testing

@Suite(.timeLimit(.minutes(2)))
struct BackgroundThreadsTests {
    private let eventLoop = MultiThreadedEventLoopGroup.singleton.next()

    /// What the work finds where it is done, told on the event loop.
    private func look<Value: Sendable>(
        _ threads: BackgroundThreads, _ work: @escaping @Sendable () -> Value
    ) async throws -> (value: Value, isBack: Bool) {
        let promise = self.eventLoop.makePromise(of: (value: Value, isBack: Bool).self)
        threads.perform(on: self.eventLoop, work) { [eventLoop = self.eventLoop] value in
            promise.succeed((value, eventLoop.inEventLoop))
        }
        return try await promise.futureResult.get()
    }

    /// Of a thread; 0 stands for the caller's.
    private static func niceness(_ thread: id_t) -> Int32 {
        getpriority(__priority_which_t(PRIO_PROCESS.rawValue), thread)
    }

    @Test func workIsDoneElsewhereAndGivesWay() async throws {
        let threads = BackgroundThreads(count: 2)
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
        let threads = BackgroundThreads(count: 1)
        let add: @Sendable () -> Void = { done.withLockedValue { $0 += 1 } }
        threads.submit(add)
        #expect(done.withLockedValue { $0 } == 1)
        threads.start()
        // The one thread is held, so that all the rest waits when it is to stop.
        let (isHeld, release) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        threads.submit {
            isHeld.signal()
            release.wait()
        }
        isHeld.wait()
        let all = self.eventLoop.makePromise(of: Void.self)
        for number in 1...100 {
            threads.submit {
                add()
                if number == 100 { all.succeed() }
            }
        }
        #expect(done.withLockedValue { $0 } == 1)
        async let stopped: Void = threads.stop()
        try await all.futureResult.get()
        #expect(done.withLockedValue { $0 } == 101)
        release.signal()
        await stopped
        threads.submit(add)
        #expect(done.withLockedValue { $0 } == 102)
    }

    @Test func whatIsAbandonedIsLetGo() async throws {
        let threads = BackgroundThreads(count: 1)
        threads.start()
        let (isHeld, release) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        threads.submit {
            isHeld.signal()
            release.wait()
        }
        isHeld.wait()
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
        release.signal()
        // Behind it.
        #expect(try await self.look(threads) { 7 }.value == 7)
        await threads.stop()
    }
}
