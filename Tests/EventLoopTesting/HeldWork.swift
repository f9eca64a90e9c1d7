import EventLoopFairness
import NIOConcurrencyHelpers

/// Does the work when the test says so.
package final class HeldWork: BackgroundWork {
    private let waiting = NIOLockedValueBox<[@Sendable () -> Void]>([])

    /// How much waits.
    package var count: Int { self.waiting.withLockedValue { $0.count } }

    package init() {}

    package func submit(_ work: @escaping @Sendable () -> Void) { self.waiting.withLockedValue { $0.append(work) } }

    /// Does all that waits.
    package func release() {
        let waiting = self.waiting.withLockedValue { waiting in
            defer { waiting = [] }
            return waiting
        }
        for work in waiting { work() }
    }
}
