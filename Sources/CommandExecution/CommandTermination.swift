// SPDX-License-Identifier: Apache-2.0

import CCommandExecution

/// The end of a command.
package enum CommandTermination: Sendable, Hashable {
    /// The command exited with this status.
    case exited(Int32)
    /// This signal ended the command.
    case killed(Int32)

    /// - Parameter waitStatus: the status from waitpid(2).
    init(waitStatus: CInt) {
        self =
            command_has_exited(waitStatus)
            ? .exited(command_exit_status(waitStatus)) : .killed(command_ending_signal(waitStatus))
    }
}
