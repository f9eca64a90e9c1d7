import CommandExecution
import NIOCore
import NIOPosix
import SystemPackage

/// The threads and descriptors that this program needs. Where a library cannot have one, it waits without limit, or ends the
/// process.
enum ResourceDemand {
    /// For the event loop, Dispatch, the spool's database and lock, a connection, and files that are read.
    private static let descriptors = 32

    /// How many threads there may be beside the main thread: the event loop, those for blocking work, the one that reads a command's
    /// standard error, and those of Dispatch, which has one for each processor and some for serial queues.
    private static var threads: Int { 1 + Self.blockingThreads + 1 + System.coreCount + 10 }

    private static let blockingThreads = 2

    /// Says what could not be reserved, and what to do.
    static func message(_ error: Errno) -> String {
        """
        The threads, processes and descriptors that this program needs cannot be had (\(error)): raise the limit of processes or \
        of open files (ulimit -u, ulimit -n, a container's pids.max), or try again later.
        """
    }

    /// Makes sure that there is room for all of them, and starts those threads that are NIO's.
    ///
    /// - Throws: the system's error when there is not.
    static func reserve() throws(Errno) {
        try CallerInheritance.checkRoom(threads: self.threads, descriptors: self.descriptors)
        NIOSingletons.groupLoopCountSuggestion = 1
        NIOSingletons.blockingPoolThreadCountSuggestion = Self.blockingThreads
        _ = NIOSingletons.posixEventLoopGroup.next()
        _ = NIOSingletons.posixBlockingThreadPool
    }
}
