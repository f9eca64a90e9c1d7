/// How many threads `guest-agent` may have at once beside its main thread.
package enum ThreadDemand {
    /// Event loops.
    package static let eventLoops = 1
    /// Threads for work that blocks, such as looking up a host's name.
    package static let blocking = 2
    /// The thread that reads a command's standard error.
    private static let standardError = 1
    /// What Dispatch starts for serial queues of their own and for waiting, and the process of the command.
    private static let others = 14
    /// Dispatch has a thread for each piece of work that is ready, up to the number of processors. This program does not have more
    /// pieces ready at once: `exec` has been seen with 20 threads of all kinds on 96 processors.
    private static let processors = 8

    /// - Parameter processors: how many there are.
    package static func threads(processors: Int) -> Int {
        self.eventLoops + self.blocking + self.standardError + self.others + min(processors, self.processors)
    }
}
