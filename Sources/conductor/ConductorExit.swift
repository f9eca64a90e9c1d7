import ArgumentParser
import ConductorService
import ContextSigning
import Notifier
import PeriodicReports
import ProgramStreams
import Settings
import TLSSocket

/// How the program ends: 0 when all went well, 64 for wrong arguments, 65 for an event that cannot be made of what was
/// given, 69 for one that could not be sent now, 75 for certificate files that cannot be used as they are now, 78 for a
/// configuration that cannot be used, 1 for anything else (Docs/operations.md). After 75 the unit tries again; after 64 and 78 it
/// does not.
enum ConductorExit {
    /// `EX_DATAERR` of sysexits.h.
    static let data = ExitCode(65)
    /// `EX_UNAVAILABLE` of sysexits.h.
    static let unavailable = ExitCode(69)
    /// `EX_TEMPFAIL` of sysexits.h.
    static let temporary = ExitCode(75)
    /// `EX_CONFIG` of sysexits.h.
    static let configuration = ExitCode(78)

    /// Runs the body, and turns what a user can mend into a sentence on standard error and an exit code.
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

    /// Runs the body, and turns what a user can mend into a sentence on standard error and an exit code.
    static func mapErrors(_ body: () throws -> Void) throws {
        do {
            try body()
        } catch {
            throw Self.exit(for: error)
        }
    }

    /// Says something on standard error, with the program's name before each line.
    ///
    /// Where nobody can hear it, the work goes on: an event must not be lost to a warning.
    static func say(_ message: String) { StandardStreams.say(message, program: "conductor") }

    private static func exit(for error: any Error) -> any Error {
        let message: String
        var code = Self.configuration
        switch error {
        case let error as EventDataError: (message, code) = (error.description, Self.data)
        case let error as EventDeliveryError: (message, code) = (error.description, error.exitCode)
        case let error as SettingsError: message = error.description
        // A renewal may be under way, or a list on its way: what is wrong with a file mends itself without a setting.
        case let error as ConfigurationFileError: (message, code) = (error.description, Self.temporary)
        case let error as CatalogueSettingsError: message = error.description
        // Only the messaging settings can keep the drivers from being made; the reason begins with the setting's name.
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
        Self.say(message)
        return code
    }
}
