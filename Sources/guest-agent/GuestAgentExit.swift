// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import GuestAgent
import GuestSpool
import Notifications
import SecureFiles
import Settings
import StandardIO

/// The exit codes of the program's own commands (Docs/operations.md): 0 for success, 64 for wrong arguments, 65 for a
/// message that no spool holds, 71 when the system has no threads or descriptors left for the program (`exec`: 75), 73
/// for a file that cannot be written, 74 for a spool that cannot be read, 75 when something still waits or there is no
/// space or no free spool now, 78 for a configuration or directory that cannot be used, 1 for anything else.
enum GuestAgentExit {
    /// `EX_DATAERR` of sysexits.h.
    static let data = ExitCode(65)
    /// `EX_OSERR` of sysexits.h: nothing was tried. A timer that treats 75 as a success must notice this failure.
    static let noResources = ExitCode(71)
    /// `EX_CANTCREAT` of sysexits.h.
    static let cannotCreate = ExitCode(73)
    /// `EX_IOERR` of sysexits.h.
    static let inputOutput = ExitCode(74)
    /// `EX_TEMPFAIL` of sysexits.h.
    static let temporary = ExitCode(75)
    /// `EX_CONFIG` of sysexits.h.
    static let configuration = ExitCode(78)

    /// Prints a message on standard error, with the program's name before each line. If it cannot be written, the work
    /// goes on.
    static func printMessage(_ message: String) { StandardStreams.printMessage(message, program: "guest-agent") }

    /// Runs the body, and turns an error that a user can fix into a sentence on standard error and an exit code.
    static func mapErrors(_ body: () async throws -> Void) async throws {
        do {
            try await body()
        } catch {
            throw Self.exit(for: error)
        }
    }

    private static func exit(for error: any Error) -> any Error {
        let code: ExitCode
        switch error {
        case let error as OutboxError:
            switch error.code {
            case .noSpool, .notWritable: code = Self.configuration
            case .failed: code = Self.inputOutput
            default: code = Self.temporary
            }
        case is SettingsError, is GuestAgentError: code = Self.configuration
        case is ExportFileError: code = Self.cannotCreate
        case is FileError: code = Self.configuration
        case is UnknownMessagesError: code = Self.data
        case is StandardStreams.OutputError: code = .failure
        default: return error
        }
        Self.printMessage("\(error)")
        return code
    }
}

/// An error for requested messages that no spool holds.
struct UnknownMessagesError: Error, CustomStringConvertible {
    /// One sentence.
    let description: String

    init(_ messageIDs: [MessageID], where place: String) {
        self.description =
            "No outcome of message \(messageIDs.map(\.description).joined(separator: ", ")) \(place)."
    }
}
