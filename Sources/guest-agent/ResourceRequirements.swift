// SPDX-License-Identifier: Apache-2.0

import CommandExecution
import NIOCore
import NIOPosix
import SystemPackage

/// The threads and descriptors that this program needs. A library that cannot get one waits without limit, or ends the
/// process.
enum ResourceRequirements {
    /// The number of descriptors for the event loop, Dispatch, the spool's database and lock, a connection, and files
    /// that are read.
    private static let descriptors = 32

    /// Returns the message that says what could not be reserved, and what to do.
    static func message(_ error: Errno) -> String {
        """
        The system lacks threads, processes or descriptors that this program needs (\(error)): raise the limit of processes, \
        of open files or of the address space (ulimit -u, ulimit -n, ulimit -v, a container's pids.max), or try again later.
        """
    }

    /// Checks that the system has all of them, and starts NIO's threads.
    ///
    /// - Throws: the system's error when it does not.
    static func reserve() throws(Errno) {
        try InheritedProcessState.checkRoom(
            threads: ThreadRequirements.threads(processors: System.coreCount), descriptors: self.descriptors)
        NIOSingletons.groupLoopCountSuggestion = ThreadRequirements.eventLoops
        NIOSingletons.blockingPoolThreadCountSuggestion = ThreadRequirements.blocking
        _ = NIOSingletons.posixEventLoopGroup.next()
        _ = NIOSingletons.posixBlockingThreadPool
    }
}
