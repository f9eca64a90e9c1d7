// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandExecution
import Dispatch
import Glibc
import StandardIO

/// The program's entry point, which also ends the program.
///
/// The program begins outside the concurrency runtime, whose first task already runs on a thread that blocks signals: a
/// command under `exec` must have the signal mask of the program's caller.
@main
enum Main {
    static func main() {
        do {
            try InheritedProcessState.record()
            StandardStreams.begin()
            if let text = ProgramArguments.notText(ProgramArguments.all, except: ["--context"]) {
                throw ValidationError(
                    "The argument \(text) is not UTF-8; only the file name of --context may be something else.")
            }
            var command = try GuestAgentProgram.parseAsRoot()
            if let command = command as? any AsyncParsableCommand {
                do {
                    try ResourceRequirements.reserve()
                } catch {
                    GuestAgentExit.printMessage(ResourceRequirements.message(error))
                    throw GuestAgentExit.noResources
                }
                Self.start(command)
                dispatchMain()
            }
            try command.run()
            exit(EXIT_SUCCESS)
        } catch {
            GuestAgentProgram.exit(withError: error)
        }
    }

    private static func start(_ command: sending any AsyncParsableCommand) {
        Task {
            var command = command
            do {
                try await command.run()
                exit(EXIT_SUCCESS)
            } catch {
                GuestAgentProgram.exit(withError: error)
            }
        }
    }
}
