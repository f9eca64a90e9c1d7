import CommandExecution
import NIOCore
import NIOPosix
import SystemPackage

/// The threads and descriptors that this program needs. Where a library cannot have one, it waits without limit, or ends the
/// process.
enum ResourceDemand {
    /// For the event loop, Dispatch, the spool's database and lock, a connection, and files that are read.
    private static let descriptors = 32

    /// Says what could not be reserved, and what to do.
    static func message(_ error: Errno) -> String {
        """
        The threads, processes and descriptors that this program needs cannot be had (\(error)): raise the limit of processes, \
        of open files or of addresses (ulimit -u, ulimit -n, ulimit -v, a container's pids.max), or try again later.
        """
    }

    /// Makes sure that there is room for all of them, and starts those threads that are NIO's.
    ///
    /// - Throws: the system's error when there is not.
    static func reserve() throws(Errno) {
        try CallerInheritance.checkRoom(
            threads: ThreadDemand.threads(processors: System.coreCount), descriptors: self.descriptors)
        NIOSingletons.groupLoopCountSuggestion = ThreadDemand.eventLoops
        NIOSingletons.blockingPoolThreadCountSuggestion = ThreadDemand.blocking
        _ = NIOSingletons.posixEventLoopGroup.next()
        _ = NIOSingletons.posixBlockingThreadPool
    }
}
