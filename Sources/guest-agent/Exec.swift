import ArgumentParser
import Foundation
import Glibc
import GuestAgent
import GuestSpool
import Logging
import ServiceLifecycle
import Settings
import Subprocess
import TLSSocket
import UnixSignals

/// `guest-agent exec`: runs a command as the operation, and tells a conductor how it ended.
struct Exec: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs a command as the operation of a context, and notifies how it ended.",
        discussion: """
            Exit status 0 is an end; anything else an error, with the last lines of standard error. Signals are passed \
            on. The exit status is the command's; 128 and the signal if a signal ended it; 127 or 126 if it was not \
            found or not run; 78 if configuration or context cannot be used, and then the command was not run.

            A command says fields of the end event (such as a backup's id) by writing them, as a JSON object, to the \
            file that $GUEST_AGENT_END_FIELDS names.
            """)

    @Option(name: .long, help: ArgumentHelp("The YAML file to read.", valueName: "file"))
    var config: String?

    @Option(name: .long, help: ArgumentHelp("The JSON file that holds the notification context.", valueName: "file"))
    var context: String

    @Option(
        name: .long,
        help: ArgumentHelp("A setting that stands above the file and the environment.", valueName: "name=value"))
    var set: [String] = []

    @Argument(parsing: .postTerminator, help: "The command and its arguments.")
    var command: [String]

    func validate() throws {
        guard !self.command.isEmpty else { throw ValidationError("Name a command after --.") }
    }

    func run() async throws {
        // A reader of our output that goes away must not end us before the outcome is told. The command does not inherit
        // it: the subprocess library gives it the default of every signal.
        _ = signal(SIGPIPE, SIG_IGN)
        let (agent, context, logger) = try await self.prepare()
        let command = CommandRun(command: self.command)
        // Trapped before anything starts, so that no signal meets the default and ends us without a word.
        let signals = await UnixSignalsSequence(
            trapping: .sigterm, .sigint, .sighup, .sigquit, .sigusr1, .sigusr2)
        let services = ServiceGroup(configuration: .init(services: [.init(service: agent)], logger: logger))
        // Without a context there is nothing to deliver.
        let delivery = Task { if context != nil { try await services.run() } }
        let forwarding = Task {
            // Once the command has ended a signal is for us, who wait for the conductor: we stop waiting.
            for await signal in signals where !command.send(Signal(rawValue: signal.rawValue)) { delivery.cancel() }
        }
        defer { forwarding.cancel() }

        var status: Int32 = 0
        do {
            try await agent.withNotification(context) { try await command.run() }
        } catch let failure as CommandFailure {
            status = failure.exitStatus
            // A command that ran has said itself what it had to say.
            if failure.exitStatus == 126 || failure.exitStatus == 127 { Self.say(failure.description) }
        }
        if context != nil { await services.triggerGracefulShutdown() }
        do {
            try await delivery.value
        } catch {
            Self.say("Delivery ended early: \(error)")
        }
        let waiting = try await agent.counts().waiting
        if waiting > 0 { Self.say("The outcome was NOT delivered: no conductor took it in time; it is lost.") }
        throw ExitCode(status)
    }

    /// Reads configuration and context; what cannot be used ends the program before the command is run.
    private func prepare() async throws -> (GuestAgent, NotificationContext?, Logger) {
        do {
            let settings = try await Settings.load(
                schema: GuestAgentSettings.schema, file: self.config, environment: ProcessInfo.processInfo.environment,
                overrides: try SettingOverrides(self.set).values)
            var logger = Logger(label: "guest-agent") { StreamLogHandler.standardError(label: $0) }
            logger.logLevel = Logger.Level(rawValue: try settings.string("log.level")) ?? .warning
            let context = try self.readContext()
            let agent = try Self.agent(settings, logger)
            if context == nil { Self.say("\(self.context) asks for no notification; the command's end is not told.") }
            return (agent, context, logger)
        } catch let error as ValidationError {
            throw error
        } catch {
            Self.say("\(error)")
            // EX_CONFIG of sysexits.h.
            throw ExitCode(78)
        }
    }

    /// - Throws: ``GuestAgentError`` that names the settings of a certificate or key that cannot be used.
    private static func agent(_ settings: Settings, _ logger: Logger) throws -> GuestAgent {
        do {
            return try GuestAgent(configuration: .init(settings), logger: logger)
        } catch let error as TLSError {
            let files = ["tls.key", "tls.certificate", "tls.ca"]
            let concerned = try files.filter { error.message.contains("(file \(try settings.string($0)))") }
            let names = (concerned.isEmpty ? files : concerned).joined(separator: ", ")
            throw GuestAgentError(.invalidConfiguration, "\(names): \(error.message).")
        }
    }

    /// - Returns: nil for a context without a notification.
    private func readContext() throws -> NotificationContext? {
        let data: Data
        do {
            data = try Data(contentsOf: URL(fileURLWithPath: self.context))
        } catch {
            throw GuestAgentError(
                .invalidConfiguration,
                "--context: \(self.context) \(ReadFailure(error, path: self.context)).")
        }
        do {
            return try NotificationContext.read(json: Array(data))
        } catch {
            throw GuestAgentError(.invalidConfiguration, "--context: \(self.context) holds no context: \(error).")
        }
    }

    private static func say(_ message: String) {
        try? FileHandle.standardError.write(contentsOf: Data("guest-agent: \(message)\n".utf8))
    }
}
