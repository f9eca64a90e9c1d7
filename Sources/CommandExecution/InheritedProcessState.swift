// SPDX-License-Identifier: Apache-2.0

import CCommandExecution
package import SystemPackage

/// The state that this process inherits from its caller and a command inherits from this process: signal mask, ignored
/// signals, descriptors.
package enum InheritedProcessState {
    /// Records the inherited state. Call it once, on the main thread, before anything in this process changes that
    /// state.
    package static func record() throws(Errno) { try check(command_inheritance_record()) }

    /// Returns whether the caller ignores the signal, as `nohup` does with SIGHUP. This program must then ignore it
    /// too.
    package static func ignores(_ signal: Int32) -> Bool { command_was_ignored(signal) }

    /// Checks that this many more threads can be created (a limit of processes counts threads too, a limit of the
    /// address space counts their stacks), and this many more descriptors. Throws the system's error if not. Call it
    /// while the main thread is the only thread.
    package static func checkRoom(threads: Int, descriptors: Int) throws(Errno) {
        try check(command_check_address_space(Int32(threads)))
        try check(command_check_threads(Int32(threads)))
        try check(command_check_descriptors(Int32(descriptors)))
    }
}

/// Throws the error whose number a function of CCommandExecution returned; zero means success.
func check(_ number: CInt) throws(Errno) {
    guard number == 0 else { throw Errno(rawValue: number) }
}
