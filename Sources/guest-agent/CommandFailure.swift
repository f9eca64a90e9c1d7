import CommandExecution
import GuestAgent

/// A command that did not end with exit status 0.
struct CommandFailure: ExceptionInfoProviding, CustomStringConvertible {
    /// What is notified: the type `CommandFailed`, `CommandKilled`, `CommandNotFound` or `CommandNotStarted`; as text
    /// the last line on standard error, or else how the command ended; as trace the last lines.
    let exceptionInfo: ExceptionInfo
    /// What our own exit status is to be: the command's, or as a shell has it: 128 and the signal, 127 or 126 for a command
    /// that could not be started.
    let exitStatus: Int32
    /// How the command ended.
    let description: String
    /// Whether it ran; then it has said itself what it had to say.
    let hasRun: Bool

    /// - Returns: nil when it ended with exit status 0.
    init?(program: String, end: CommandEnd, lastLines: [String]) {
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
