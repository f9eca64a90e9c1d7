// SPDX-License-Identifier: Apache-2.0

import CMemoryTrimming
import ConductorRPC
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix

/// A repeated task that releases memory to the kernel after many connections have ended; ``MemoryReleaseStateMachine``
/// decides when.
///
/// The memory of thousands of ended connections is scattered over all arenas of the allocator, which do not return it.
final class MemoryReleaser: Sendable {
    /// The time between two counts of the connections.
    private static let interval = TimeAmount.seconds(1)

    private let machine = NIOLockedValueBox(MemoryReleaseStateMachine())
    private let logger: Logger

    init(logger: Logger) { self.logger = logger }

    /// Starts to count the connections regularly.
    ///
    /// - Returns: the task, which can be cancelled.
    func start(on eventLoop: any EventLoop, connections: @escaping @Sendable () -> Int) -> RepeatedTask {
        eventLoop.scheduleRepeatedTask(initialDelay: Self.interval, delay: Self.interval) { _ in
            let count = connections()
            guard self.machine.withLockedValue({ $0.record(connections: count, now: eventLoop.now) }) else { return }
            // Not on an event loop, because this walks through all free memory. Nor on a thread of low priority: this
            // locks what it walks through for every thread that allocates, and event loops would wait for a thread that
            // is preempted.
            NIOThreadPool.singleton.submit { [logger = self.logger] _ in
                let isLess = memory_trim() != 0
                logger.debug(
                    "Released memory of connections that have ended",
                    metadata: ["connections": "\(count)", "was_any": "\(isLess)"])
            }
        }
    }
}
