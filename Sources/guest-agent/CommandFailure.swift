// SPDX-License-Identifier: Apache-2.0

import CommandExecution
import GuestAgent
import Notifications

/// A command that did not end with exit status 0.
struct CommandFailure: ExceptionInfoProviding, CustomStringConvertible {
    /// The error to report. Its type is `CommandFailed`, `CommandKilled`, `CommandNotFound` or `CommandNotStarted`. Its
    /// text is the last line on standard error, or else how the command ended. Its trace is the last lines, then how
    /// the command ended.
    let exceptionInfo: ExceptionInfo
    /// The exit status for `guest-agent exec`: the command's, or as a shell has it: 128 plus the signal, 127 or 126 for
    /// a command that could not be started.
    let exitStatus: Int32
    /// The way the command ended, or the reason why it could not be started.
    let description: String
    /// Whether the command ran; then it has printed its own messages.
    let hasRun: Bool

    /// - Returns: nil when it ended with exit status 0.
    init?(program: String, end: CommandTermination, lastLines: [String]) {
        let etype: String
        switch end {
        case .exited(0): return nil
        case .exited(let code):
            etype = "CommandFailed"
            self.exitStatus = code
            self.description = "\(program) ended with exit status \(code)"
        case .killed(let signal):
            etype = "CommandKilled"
            self.exitStatus = 128 + signal
            self.description = "\(program) was ended by signal \(signal)"
        }
        self.hasRun = true
        let lastLine = lastLines.last { !$0.allSatisfy(\.isWhitespace) }
        self.exceptionInfo = ExceptionInfo(
            etype: etype, value: lastLine ?? self.description, trace: lastLines + [self.description])
    }

    init(_ failure: CommandStartFailure) {
        self.hasRun = false
        self.exitStatus = failure.exitStatus
        self.description = TerminalText.plain(failure.description)
        self.exceptionInfo = ExceptionInfo(
            etype: failure.isMissing ? "CommandNotFound" : "CommandNotStarted", value: self.description)
    }
}
