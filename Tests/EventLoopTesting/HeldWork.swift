// SPDX-License-Identifier: Apache-2.0

import EventLoopScheduling
import NIOConcurrencyHelpers
package import NIOCore

/// Holds work back until the test releases it.
package final class HeldWork: BackgroundExecutor {
    private struct WorkItem {
        var isContinuation: Bool
        var work: @Sendable () -> Void
    }

    private let waiting = NIOLockedValueBox<[WorkItem]>([])

    /// The number of pieces of work that wait.
    package var count: Int { self.waiting.withLockedValue { $0.count } }
    /// The number of waiting pieces that continue work that has begun.
    package var continuations: Int { self.waiting.withLockedValue { $0.count { $0.isContinuation } } }

    package init() {}

    package func submit(isContinuation: Bool, _ work: @escaping @Sendable () -> Void) {
        self.waiting.withLockedValue { $0.append(WorkItem(isContinuation: isContinuation, work: work)) }
    }

    package func report(to eventLoop: any EventLoop, _ completion: @escaping @Sendable () -> Void) {
        eventLoop.execute(completion)
    }

    /// Does all waiting work.
    package func release() {
        let waiting = self.waiting.withLockedValue { waiting in
            defer { waiting = [] }
            return waiting
        }
        for piece in waiting { piece.work() }
    }
}
