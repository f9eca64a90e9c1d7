// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ConductorService
import ContextSigning
import Notifications
import Notifier
import PeriodicReports
import Settings
import StandardIO
import TLSChannel

/// The program's exit codes: 0 for success, 64 for wrong arguments, 65 for an event that cannot be made from the given
/// data, 69 for an event that could not be sent now, 75 for certificate files that cannot be used as they are now, 78
/// for a configuration that cannot be used, 1 for anything else (Docs/operations.md). The systemd unit restarts the
/// program after 75, but not after 64 or 78.
enum ConductorExit {
    /// `EX_DATAERR` of sysexits.h.
    static let data = ExitCode(65)
    /// `EX_UNAVAILABLE` of sysexits.h.
    static let unavailable = ExitCode(69)
    /// `EX_TEMPFAIL` of sysexits.h.
    static let temporary = ExitCode(75)
    /// `EX_CONFIG` of sysexits.h.
    static let configuration = ExitCode(78)

    /// Runs the body, and turns an error that a user can fix into a sentence on standard error and an exit code.
    static func mapErrors(_ body: () async throws -> Void) async throws {
        do {
            try await body()
        } catch {
            throw Self.exit(for: error)
        }
    }

    /// Does the same with a log, whose last lines are written before the sentence.
    static func mapErrors(closing log: ConductorLog, _ body: (ConductorLog) async throws -> Void) async throws {
        do {
            try await body(log)
        } catch {
            await log.close()
            throw Self.exit(for: error)
        }
        await log.close()
    }

    /// Runs the body, and turns an error that a user can fix into a sentence on standard error and an exit code.
    static func mapErrors(_ body: () throws -> Void) throws {
        do {
            try body()
        } catch {
            throw Self.exit(for: error)
        }
    }

    /// Prints a message on standard error, with the program's name before each line.
    ///
    /// If the message cannot be written, the work goes on: a warning must not lose an event.
    static func printMessage(_ message: String) { StandardStreams.printMessage(message, program: "conductor") }

    private static func exit(for error: any Error) -> any Error {
        let message: String
        var code = Self.configuration
        switch error {
        case let error as EventDataError: (message, code) = (error.description, Self.data)
        case let error as EventDeliveryError: (message, code) = (error.description, error.exitCode)
        case let error as SettingsError: message = error.description
        // The exit code asks for a retry: a renewal may be in progress, or the next list may follow, so that no setting
        // has to change.
        case let error as ConfigurationFileError: (message, code) = (error.description, Self.temporary)
        case let error as CatalogueSettingsError: message = error.description
        // Only messaging settings can prevent the creation of the drivers; the reason begins with the setting's name.
        case let error as DriverError: message = "\(error.reason)."
        case let error as RedactionError: message = "redaction.\(error.part.rawValue)s: \(error)."
        case let error as ReportSettingsError: message = error.description
        case let error as IdentitySettingsError: message = error.description
        case let error as LimitSettingsError: message = error.description
        case let error as SignatureSettingsError: message = error.description
        case let error as SigningKeyError: message = "context_signatures.signing_key: \(error)."
        case let error as PeriodStateError: message = error.description
        case let error as ConductorServerError: message = error.description
        case let error as StandardStreams.OutputError: (message, code) = (error.description, .failure)
        default: return error
        }
        Self.printMessage(message)
        return code
    }
}
