// SPDX-License-Identifier: Apache-2.0

import CLinuxScheduling
import NIOConcurrencyHelpers
package import NIOCore
import NIOPosix

/// A pool of threads that do long work in the background, with a lower priority than the event loops.
///
/// While a processor is idle, this work costs the event loops nothing. When none is, the kernel lets one of these
/// threads run until its time slice ends, even if an event loop wakes up meanwhile. So these threads have a lower
/// priority, for kernels that preempt by priority (before 6.6), and a longer slice than other threads, for kernels that
/// let a thread with a shorter slice run first (since 6.12).
///
/// On the latter kernels, an event loop that is notified of a finished piece of work preempts the notifying thread, and
/// the processor switches back and forth. So, where pieces of work are short and many wait, an event loop is notified
/// of several at a time.
///
/// A preempted thread keeps its locks, and another thread that waits for one of them waits until the first runs again
/// (priority inversion). So work takes no lock that event loops take, except to hand off or copy a value. (The
/// exception is a revocation list whose authority the peer has sent: its signature is verified under a lock, once.)
/// Work does not submit to Dispatch or log either, because a thread that is started for that would inherit the low
/// priority.
///
/// The queue has no limit of its own. A submitter has at most one piece of work for a connection, and abandons it when
/// the connection closes. Abandoned work holds no memory, and takes no time at its turn.
package final class BackgroundThreadPool: BackgroundExecutor {
    /// The amount by which the nice value exceeds that of the event loops: these threads have a tenth of their weight.
    /// When processors are short, open connections go before new ones, which still make progress.
    private static let niceness: Int32 = 10
    /// The time slice in nanoseconds. An event loop that has used more than its share waits for the end of this slice
    /// even though its own is shorter, so this one is not much longer than other threads' slices.
    private static let slice: UInt64 = 4_000_000

    private typealias Work = @Sendable () -> Void
    private typealias Report = (eventLoop: any EventLoop, completion: @Sendable () -> Void)

    private let pool: NIOThreadPool
    /// The pieces of work. The pool has one item for each of them.
    private let queue: NIOLockedValueBox<BackgroundWorkStateMachine<Work, Report>>
    /// Set on the threads whose priority was lowered.
    private let isPrepared = ThreadSpecificVariable<Prepared>()

    private final class Prepared: Sendable {}

    /// Creates the pool. Its threads do not run before ``start()``.
    ///
    /// - Parameters:
    ///   - count: the number of threads.
    ///   - reportBatchSize: the number of finished pieces of work that event loops are notified of at a time, while
    ///     there is more to do. With more than 1, the result of one piece may wait until others have finished.
    package init(count: Int = Processors.usable, reportBatchSize: Int = 1) {
        self.pool = NIOThreadPool(numberOfThreads: count)
        self.queue = NIOLockedValueBox(BackgroundWorkStateMachine(reportBatchSize: reportBatchSize))
    }

    /// Starts the threads.
    package func start() { self.pool.start() }

    /// Stops the threads after the work that they have begun. Waiting work is done on another thread, possibly after
    /// this returns.
    package func stop() async {
        // Throws only for a pool that cannot be stopped; this one can be.
        try? await self.pool.shutdownGracefully()
    }

    /// Does the work on one of the threads; while they do not run, at once on the caller's thread.
    package func submit(isContinuation: Bool, _ work: @escaping @Sendable () -> Void) {
        self.queue.withLockedValue { $0.add(work, isContinuation: isContinuation) }
        self.pool.submit { state in
            if case .active = state { self.prepare() }
            self.queue.withLockedValue { $0.next() }?()
            self.passOn(self.queue.withLockedValue { $0.ended() })
        }
    }

    package func report(to eventLoop: any EventLoop, _ completion: @escaping @Sendable () -> Void) {
        self.queue.withLockedValue { $0.add(report: (eventLoop, completion)) }
    }

    private func passOn(_ reports: [Report]) {
        guard !reports.isEmpty else { return }
        for reports in Dictionary(grouping: reports, by: { ObjectIdentifier($0.eventLoop) }).values {
            reports[0].eventLoop.execute { for report in reports { report.completion() } }
        }
    }

    /// Lowers the priority of the current thread, once. If that is not allowed (by a container's filter of system
    /// calls), the work has the same priority as all other threads.
    private func prepare() {
        guard self.isPrepared.currentValue == nil else { return }
        self.isPrepared.currentValue = Prepared()
        _ = linux_scheduling_give_way(Self.niceness, Self.slice)
    }
}
