import CLinuxScheduling
import NIOCore
import NIOPosix

/// Threads that work behind the event loops, and give way to them.
///
/// Where there are processors to spare, work here costs the event loops nothing. Where there are none the kernel lets a thread
/// of these go on until its slice is over, whoever wakes meanwhile: so these have a lower priority, for kernels that go by that
/// (before 6.6), and a longer slice than others, for those that let whoever has a shorter one go first (since 6.12).
///
/// The queue has no bound of its own. What submits keeps to one piece of work for a connection, and abandons it when the
/// connection goes: what is abandoned holds nothing, and takes no time when it is its turn.
package final class BackgroundThreads: BackgroundWork {
    /// How much nicer they are than the event loops: a tenth of their weight. When processors are short, connections go before
    /// newcomers, who still get on.
    private static let niceness: Int32 = 10
    /// In nanoseconds. Whoever has had more than its share waits for it all the same, so it is not much longer than others'.
    private static let slice: UInt64 = 4_000_000

    private let pool: NIOThreadPool
    /// Of the threads that have their priority.
    private let isPrepared = ThreadSpecificVariable<Prepared>()

    private final class Prepared: Sendable {}

    /// They do not run before ``start()``.
    ///
    /// - Parameter count: how many.
    package init(count: Int = Processors.usable) {
        self.pool = NIOThreadPool(numberOfThreads: count)
    }

    /// Starts them.
    package func start() { self.pool.start() }

    /// Ends them, once the work that they have begun is done; what waits is done on another thread, perhaps after this.
    package func stop() async {
        // It fails where they do not run, which is as well.
        try? await self.pool.shutdownGracefully()
    }

    /// Does it on one of the threads; while they do not run, at once.
    package func submit(_ work: @escaping @Sendable () -> Void) {
        self.pool.submit { state in
            if case .active = state { self.prepare() }
            work()
        }
    }

    /// Where it is not allowed (by a container's filter of system calls), the work has the priority of everything else.
    private func prepare() {
        guard self.isPrepared.currentValue == nil else { return }
        self.isPrepared.currentValue = Prepared()
        _ = linux_scheduling_give_way(Self.niceness, Self.slice)
    }
}
