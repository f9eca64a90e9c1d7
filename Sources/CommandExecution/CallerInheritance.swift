import CCommandExecution
package import SystemPackage

/// What this process has from its caller and a command gets from this process: signal mask, ignored signals, descriptors.
package enum CallerInheritance {
    /// Records it. To be called once, on the main thread, before anything in this process changes it.
    package static func record() throws(Errno) { try check(command_inheritance_record()) }

    /// Returns whether the caller ignores the signal, as `nohup` does with SIGHUP, so that this program is to ignore it too.
    package static func ignores(_ signal: Int32) -> Bool { command_was_ignored(signal) }

    /// Finds out whether so many threads more can be made (a limit of processes counts threads too, one of addresses their
    /// stacks), and so many descriptors. To be called before there is a thread beside the main thread.
    package static func checkRoom(threads: Int, descriptors: Int) throws(Errno) {
        try check(command_check_address_space(Int32(threads)))
        try check(command_check_threads(Int32(threads)))
        try check(command_check_descriptors(Int32(descriptors)))
    }
}

/// Turns the number that a function of CCommandExecution returned into an error.
func check(_ number: CInt) throws(Errno) {
    guard number == 0 else { throw Errno(rawValue: number) }
}
