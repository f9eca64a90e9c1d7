// SPDX-License-Identifier: Apache-2.0

import Glibc
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOEmbedded
import Testing

@testable import ConductorService

@Suite(.timeLimit(.minutes(1))) struct MemoryReleaserTests {
    /// Records the priority of the thread that logs.
    private struct PriorityLog: LogHandler {
        let priorities: AsyncStream<Int32>.Continuation
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.debug

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { self.metadata[key] }
            set { self.metadata[key] = newValue }
        }

        func log(event: LogEvent) { self.priorities.yield(MemoryReleaserTests.niceness) }
    }

    /// The priority of this thread.
    private static var niceness: Int32 { getpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0) }

    /// A release locks the allocator's memory, and event loops would wait for it while a thread of lower priority is
    /// stopped.
    @Test("Memory is released at the priority of the event loops")
    func releasePriority() async throws {
        let (priorities, sink) = AsyncStream.makeStream(of: Int32.self)
        Self.loseConnections(Logger(label: "test") { _ in PriorityLog(priorities: sink) })
        let process = getpriority(__priority_which_t(PRIO_PROCESS.rawValue), id_t(getpid()))
        #expect(await priorities.first { _ in true } == process)
    }

    private static func loseConnections(_ logger: Logger) {
        let connections = NIOLockedValueBox(MemoryReleaseStateMachine.leastEnded)
        let eventLoop = EmbeddedEventLoop()
        let release = MemoryReleaser(logger: logger).start(on: eventLoop) { connections.withLockedValue { $0 } }
        eventLoop.advanceTime(by: .seconds(1))
        connections.withLockedValue { $0 = 0 }
        eventLoop.advanceTime(by: .seconds(1))
        release.cancel()
    }
}
