import Foundation
import GuestAgent
import Subprocess

/// A command that did not end with exit status 0.
struct CommandFailure: ExceptionInfoProviding, CustomStringConvertible {
    /// What is notified: the type `CommandFailed`, `CommandKilled`, `CommandNotFound` or `CommandNotStarted`; as text
    /// the last line on standard error, or else how the command ended; as trace the last lines.
    let exceptionInfo: ExceptionInfo
    /// What our own exit status is to be: the command's, or as a shell has it: 128 and the signal, 127 for a command
    /// that does not exist, 126 for one that cannot be run.
    let exitStatus: Int32
    /// How the command ended.
    let description: String

    init(program: String, status: TerminationStatus, lastLines: [String]) {
        let etype: String
        switch status {
        case .exited(let code):
            etype = "CommandFailed"
            self.exitStatus = code
            self.description = "\(program) ended with exit status \(code)"
        case .signaled(let signal):
            etype = "CommandKilled"
            self.exitStatus = 128 + signal
            self.description = "\(program) was ended by signal \(signal)"
        }
        let lastLine = lastLines.last { !$0.allSatisfy(\.isWhitespace) }
        self.exceptionInfo = ExceptionInfo(
            etype: etype, value: lastLine ?? self.description, trace: lastLines + [self.description])
    }

    init(program: String, _ error: any Error) {
        // The subprocess library says "not found" of a file that may not be executed too.
        let isMissing =
            (error as? SubprocessError)?.code == .executableNotFound
            && !(program.contains("/") && FileManager.default.fileExists(atPath: program))
        self.exitStatus = isMissing ? 127 : 126
        self.description = isMissing ? "\(program) was not found" : "\(program) could not be run: \(error)"
        self.exceptionInfo = ExceptionInfo(
            etype: isMissing ? "CommandNotFound" : "CommandNotStarted", value: self.description)
    }
}
