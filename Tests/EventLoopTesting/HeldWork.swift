// SPDX-License-Identifier: Apache-2.0

import EventLoopScheduling
import NIOConcurrencyHelpers
package import NIOCore

/// Does the work when the test says so.
package final class HeldWork: BackgroundExecutor {
    private struct Piece {
        var isContinuation: Bool
        var work: @Sendable () -> Void
    }

    private let waiting = NIOLockedValueBox<[Piece]>([])

    /// How much waits.
    package var count: Int { self.waiting.withLockedValue { $0.count } }
    /// How much of it goes on with something that was begun.
    package var continuations: Int { self.waiting.withLockedValue { $0.count { $0.isContinuation } } }

    package init() {}

    package func submit(isContinuation: Bool, _ work: @escaping @Sendable () -> Void) {
        self.waiting.withLockedValue { $0.append(Piece(isContinuation: isContinuation, work: work)) }
    }

    package func report(to eventLoop: any EventLoop, _ completion: @escaping @Sendable () -> Void) {
        eventLoop.execute(completion)
    }

    /// Does all that waits.
    package func release() {
        let waiting = self.waiting.withLockedValue { waiting in
            defer { waiting = [] }
            return waiting
        }
        for piece in waiting { piece.work() }
    }
}
