import CMemoryTrimming
import ConductorRPC
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix

/// Gives memory back to the kernel when many connections have ended; ``MemoryReleaseStateMachine`` decides when.
///
/// What thousands of connections had lies in pieces all over the allocator's arenas, which keep it for themselves.
final class MemoryRelease: Sendable {
    /// How often the connections are counted.
    private static let interval = TimeAmount.seconds(1)

    private let machine = NIOLockedValueBox(MemoryReleaseStateMachine())
    private let logger: Logger

    init(logger: Logger) { self.logger = logger }

    /// Counts the connections again and again.
    ///
    /// - Returns: what to cancel.
    func start(on eventLoop: any EventLoop, connections: @escaping @Sendable () -> Int) -> RepeatedTask {
        eventLoop.scheduleRepeatedTask(initialDelay: Self.interval, delay: Self.interval) { _ in
            let count = connections()
            guard self.machine.withLockedValue({ $0.observed(connections: count, now: eventLoop.now) }) else { return }
            // It walks through all free memory: not on an event loop. It locks what it walks through, for all who allocate: on a thread
            // that gives way to event loops it could be stopped, and they would wait for it.
            NIOThreadPool.singleton.submit { [logger = self.logger] _ in
                let isLess = memory_trim() != 0
                logger.debug(
                    "Released memory of connections that have ended",
                    metadata: ["connections": "\(count)", "was_any": "\(isLess)"])
            }
        }
    }
}
