import CLinuxScheduling
import NIOConcurrencyHelpers
package import NIOCore
import NIOPosix

/// Threads that work behind the event loops, and give way to them.
///
/// Where there are processors to spare, work here costs the event loops nothing. Where there are none the kernel lets a thread
/// of these go on until its slice is over, whoever wakes meanwhile: so these have a lower priority, for kernels that go by that
/// (before 6.6), and a longer slice than others, for those that let whoever has a shorter one go first (since 6.12).
///
/// There an event loop that is told of a piece of work stops the thread that tells it, and the processor goes to and fro. So, where
/// work takes little and much of it waits, it is told of several at a time.
///
/// A thread that is stopped keeps the locks that it has, and another that waits for one waits until it goes on. So work takes no lock
/// that event loops take, but to hand a value on or to copy one. (A revocation list whose authority a peer brings along is the
/// exception: its signature is verified behind a lock, once.) Nor does work submit to Dispatch, or log: a thread that is started for
/// that would inherit the low priority.
///
/// The queue has no bound of its own. What submits keeps to one piece of work for a connection, and abandons it when the
/// connection goes: what is abandoned holds nothing, and takes no time when it is its turn.
package final class BackgroundThreads: BackgroundWork {
    /// How much nicer they are than the event loops: a tenth of their weight. When processors are short, connections go before
    /// newcomers, who still get on.
    private static let niceness: Int32 = 10
    /// In nanoseconds. Whoever has had more than its share waits for it all the same, so it is not much longer than others'.
    private static let slice: UInt64 = 4_000_000

    private typealias Work = @Sendable () -> Void
    private typealias Report = (eventLoop: any EventLoop, completion: @Sendable () -> Void)

    private let pool: NIOThreadPool
    /// In the pool there is a turn for each piece of work here.
    private let queue: NIOLockedValueBox<WorkQueue<Work, Report>>
    /// Of the threads that have their priority.
    private let isPrepared = ThreadSpecificVariable<Prepared>()

    private final class Prepared: Sendable {}

    /// They do not run before ``start()``.
    ///
    /// - Parameters:
    ///   - count: how many.
    ///   - reportsAtOnce: how many pieces of work event loops are told of at a time, while there is more to do. With more than 1,
    ///     who waits for one may wait for others besides.
    package init(count: Int = Processors.usable, reportsAtOnce: Int = 1) {
        self.pool = NIOThreadPool(numberOfThreads: count)
        self.queue = NIOLockedValueBox(WorkQueue(reportsAtOnce: reportsAtOnce))
    }

    /// Starts them.
    package func start() { self.pool.start() }

    /// Ends them, once the work that they have begun is done; what waits is done on another thread, perhaps after this.
    package func stop() async {
        // It fails where they do not run, which is as well.
        try? await self.pool.shutdownGracefully()
    }

    /// Does it on one of the threads; while they do not run, at once.
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

    /// Where it is not allowed (by a container's filter of system calls), the work has the priority of everything else.
    private func prepare() {
        guard self.isPrepared.currentValue == nil else { return }
        self.isPrepared.currentValue = Prepared()
        _ = linux_scheduling_give_way(Self.niceness, Self.slice)
    }
}
