// SPDX-License-Identifier: Apache-2.0

/// The number of threads that `guest-agent` may have at once in addition to its main thread.
package enum ThreadRequirements {
    /// The number of event loops.
    package static let eventLoops = 1
    /// The number of threads for work that blocks, such as looking up a host's name.
    package static let blocking = 2
    /// The thread that reads a command's standard error.
    private static let standardError = 1
    /// The number of threads that Dispatch starts for serial queues and for waiting, with the command's process counted
    /// as one.
    private static let others = 14
    /// The largest number of Dispatch's threads for work that is ready. Dispatch has one for each piece of ready work,
    /// up to the number of processors. This program never has more pieces ready at once: `exec` was seen with 20
    /// threads of all kinds on 96 processors.
    private static let processors = 8

    /// Returns the number of threads on a machine with this many processors.
    package static func threads(processors: Int) -> Int {
        self.eventLoops + self.blocking + self.standardError + self.others + min(processors, self.processors)
    }
}
