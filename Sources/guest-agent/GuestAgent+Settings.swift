// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandExecution
import Foundation
import GuestAgent
import GuestSpool
import Logging
import Settings
import TLSChannel

extension GuestAgent {
    /// Creates the agent of these settings.
    ///
    /// - Parameter turn: the turn of a flush to which the agent is limited; nil for no limit.
    /// - Throws: ``GuestAgentError`` that names the settings of a certificate or key that cannot be used.
    convenience init(
        _ settings: Settings, turn: FlushScheduleStateMachine.Turn? = nil, outbox: any Outbox, logger: Logger
    ) throws {
        var configuration = try Configuration(settings)
        if let turn {
            configuration.drainTimeout = turn.time
            configuration.connectTimeout = turn.connectTimeout
            configuration.conductors = turn.order(of: configuration.conductors)
        }
        do {
            try self.init(configuration: configuration, outbox: outbox, logger: logger)
        } catch let error as TLSError {
            let files = ["tls.key", "tls.certificate", "tls.ca", "tls.crl"]
            let concerned = try files.filter { name in
                guard let path = try settings.optionalString(name) else { return false }
                return error.message.contains("(file \(path))")
            }
            let names = (concerned.isEmpty ? files : concerned).joined(separator: ", ")
            throw GuestAgentError(.invalidConfiguration, "\(names): \(error.message).")
        }
    }
}

extension Spool.Configuration {
    init(_ settings: Settings) throws {
        self.init()
        self.maximumCount = try settings.integer("spool.maximum_count")
        self.maximumBytes = try settings.integer("spool.maximum_mib") << 20
    }
}

/// The options that name the sources of a command's settings.
struct SettingsOptions: ParsableArguments {
    @Option(name: .long, help: ArgumentHelp("Read settings from this YAML file.", valueName: "file"))
    var config: String?

    @Option(
        name: .long,
        help: ArgumentHelp("Set a setting; overrides the file and the environment.", valueName: "name=value"))
    var set: [String] = []

    /// - Parameter required: whether the settings that a delivery needs must have values.
    /// - Throws: ``SettingsError``, or ``GuestAgentError`` for an environment variable that is not UTF-8.
    func load(required: Bool) async throws -> Settings {
        let schema = GuestAgentSettings.schema
        if let name = ProgramArguments.variableThatIsNoText(prefix: "\(schema.environmentPrefix)_"),
            name != CommandRun.fieldsVariable
        {
            throw GuestAgentError(
                .invalidConfiguration, "The environment variable \(name) is not UTF-8; give it a value that is.")
        }
        return try await Settings.load(
            schema: required ? schema : schema.requiring(only: []), file: self.config,
            environment: ProcessInfo.processInfo.environment, overrides: try SettingOverrides(self.set).values)
    }

    /// Returns the command line of another command with these settings, quoted for a shell.
    func command(_ name: String) -> String {
        var words = [CommandLine.arguments.first ?? "guest-agent", name]
        if let config {
            // The user may enter it in another directory.
            words += ["--config", URL(fileURLWithPath: config).path]
        }
        for setting in self.set { words += ["--set", setting] }
        return words.map(ShellText.quoted).joined(separator: " ")
    }
}

/// The quoting of text for a shell.
enum ShellText {
    private static let plain = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=,@%+")

    /// Returns the text in a form that a shell reads as one word.
    static func quoted(_ word: String) -> String {
        guard word.isEmpty || !word.allSatisfy(Self.plain.contains) else { return word }
        return "'" + word.replacing("'", with: #"'\''"#) + "'"
    }
}

extension Logger {
    /// Creates a logger that writes to standard error.
    init(_ settings: Settings) throws {
        self.init(label: "guest-agent") { StreamLogHandler.standardError(label: $0) }
        self.logLevel = Logger.Level(rawValue: try settings.string("log.level")) ?? .warning
    }
}
