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
            #expect(found.value.niceness > Self.niceness(id_t(getpid())))
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
        for _ in 1...100 { threads.submit(add) }
        async let late = self.look(threads) { 7 }
        #expect(try await late.value == 7)
        await threads.stop()
        #expect(done.withLockedValue { $0 } == 101)
        threads.submit(add)
        #expect(done.withLockedValue { $0 } == 102)
    }
}
