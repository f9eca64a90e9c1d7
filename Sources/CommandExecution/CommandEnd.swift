import CCommandExecution

/// How a command ended.
package enum CommandEnd: Sendable, Hashable {
    /// With this exit status.
    case exited(Int32)
    /// By this signal.
    case killed(Int32)

    /// - Parameter waitStatus: what `waitpid` said.
    init(waitStatus: CInt) {
        self =
            command_has_exited(waitStatus)
            ? .exited(command_exit_status(waitStatus)) : .killed(command_ending_signal(waitStatus))
    }
}
