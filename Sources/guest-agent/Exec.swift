// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandExecution
import Foundation
import GuestAgent
import GuestSpool
import Logging
import Notifications
import ServiceLifecycle
import Settings

/// `guest-agent exec`: runs a command as the operation, and reports to a conductor how it ended.
struct Exec: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run a command as the operation of a context, and report how it ended.",
        discussion: """
            Exit status 0 is reported as an end, anything else as an error with the last lines of standard error. Signals are passed \
            on. The exit status is the command's; 128 plus the signal if a signal ended it; 127 or 126 if it was not \
            found or not run; 78 if configuration, context or the spool's directory cannot be used, 75 if the spool is \
            full or fails, 64 others run, or the system has no process, thread or descriptor left: then the command was not run.

            The command inherits what a program inherits from its caller, byte for byte, except for standard error, which \
            is a pipe to this program (Docs/operations.md).

            The outcome is stored in a spool (spool.directory) until a conductor accepts it. An outcome that waits longer than \
            delivery.drain_timeout is delivered by the next exec or by `guest-agent flush`.

            A command sets fields of the end event (such as a backup's id) by writing them, as a JSON object, to the \
            file that $GUEST_AGENT_END_FIELDS names.
            """)

    @OptionGroup var settings: SettingsOptions

    @Option(name: .long, help: ArgumentHelp("Read the notification context from this JSON file.", valueName: "file"))
    var context: String

    @Argument(parsing: .postTerminator, help: "Run this command with its arguments.")
    var command: [String]

    func validate() throws {
        guard !self.command.isEmpty else { throw ValidationError("Name a command after --.") }
    }

    func run() throws {
        let arguments = Array(ProgramArguments.command(ProgramArguments.all))
        guard arguments.count == self.command.count else {
            throw ValidationError("Name the command after the first --, and no option of exec there.")
        }
        let run: CommandRun
        do {
            run = try CommandRun(arguments)
        } catch {
            GuestAgentExit.printMessage("\(ResourceRequirements.message(error)) The command was not run.")
            throw GuestAgentExit.temporary
        }
        Task {
            let end: any Error
            do {
                end = ExitCode(try await self.execute(run))
            } catch {
                end = error
            }
            await run.discard()
            GuestAgentProgram.exit(withError: end)
        }
        run.supervise()
    }

    /// - Returns: the exit status.
    private func execute(_ run: CommandRun) async throws -> Int32 {
        let (settings, context, logger) = try await self.prepare()
        if let context { return try await self.execute(run, settings, context, logger) }
        GuestAgentExit.printMessage("\(self.context) requests no notification; the command's end is not reported.")
        run.operationBegins()
        return try await self.status { try await run.run() }
    }

    /// Runs the command as an operation, and delivers its outcome.
    ///
    /// - Returns: the exit status.
    private func execute(
        _ run: CommandRun, _ settings: Settings, _ context: NotificationContext, _ logger: Logger
    ) async throws -> Int32 {
        let (spool, path) = try await self.openSpool(settings, logger)
        let watch = OutcomeTrackingOutbox(spool)
        let agent: GuestAgent
        let drainTimeout: Duration
        do {
            drainTimeout = try settings.duration("delivery.drain_timeout")
            agent = try GuestAgent(settings, outbox: watch, logger: logger)
        } catch {
            try? await spool.close()
            throw Self.unusable(error)
        }
        let services = ServiceGroup(configuration: .init(services: [.init(service: agent)], logger: logger))
        let delivery = Task { try await services.run() }
        // A signal that comes some time after the command's end is for this process, which then stops waiting for the
        // conductor.
        run.whenToStopWaiting { delivery.cancel() }

        let status: Int32
        run.operationBegins()
        do {
            status = try await self.status { try await agent.withNotification(context) { try await run.run() } }
        } catch  where watch.messageID == nil {
            run.recordNoCommand()
            GuestAgentExit.printMessage("\(error) The command was not run.")
            // A full spool is delivered now, so that the next command can run.
            if error.code != .full { delivery.cancel() }
            status = Self.exitCode(error).rawValue
        } catch {
            // The command succeeded; only its outcome could not be recorded.
            status = 0
        }
        await services.triggerGracefulShutdown()
        do {
            try await DeliveryWaitMessage().during(agent, place: path, timeout: drainTimeout) {
                try await delivery.value
            }
        } catch is CancellationError {
            // A signal ended the wait; what still waits is printed below.
        } catch {
            GuestAgentExit.printMessage("Delivery ended early: \(error)")
        }
        let waiting = try? await spool.counts().waiting
        try? await spool.close()
        let claimed = await self.reasonOfClaim(watch, path)
        self.printDeliveryState(of: watch, waiting: waiting ?? 0, claimed: claimed, path)
        return status
    }

    /// Runs the body, which runs the command.
    ///
    /// - Returns: the exit status.
    /// - Throws: ``OutboxError`` when the command was not run, or succeeded and its outcome could not be kept.
    private func status(_ body: () async throws -> Void) async throws(OutboxError) -> Int32 {
        do {
            try await body()
            return 0
        } catch let failure as CommandFailure {
            // A command that ran has printed its own messages.
            if !failure.hasRun { GuestAgentExit.printMessage(failure.description) }
            return failure.exitStatus
        } catch let error as OutboxError {
            throw error
        } catch {
            // withNotification throws nothing else.
            GuestAgentExit.printMessage("\(error)")
            return 1
        }
    }

    /// Returns why the outcome was set aside without a conductor's answer; nil when it was not. The spool sets it aside
    /// when the certificate names another guest from then on.
    private func reasonOfClaim(_ watch: OutcomeTrackingOutbox, _ path: String) async -> String? {
        guard watch.deliveryState == .waiting, let messageID = watch.messageID,
            let outcome = try? await SpoolInspection(path).outcome(messageID), outcome.state == .setAside
        else { return nil }
        return outcome.reason ?? ""
    }

    /// Prints what became of an outcome that was not delivered; after a delivery, how many earlier outcomes wait.
    private func printDeliveryState(of watch: OutcomeTrackingOutbox, waiting: Int, claimed: String?, _ path: String) {
        let name = "message \(watch.messageID?.description ?? "")"
        let flush = self.settings.command("flush")
        let remedy = "`\(flush)` or the next exec delivers"
        switch watch.deliveryState {
        case .running: break
        case .delivered where waiting == 0: break
        case .delivered:
            GuestAgentExit.printMessage(
                "\(SpoolOutputFormat.count(waiting, "earlier outcome")) in \(path) not delivered yet; \(remedy) more.")
        case .waiting where claimed != nil:
            GuestAgentExit.printMessage(
                """
                The outcome was NOT delivered, and no flush delivers it: it is set aside in \(path), \(name): \
                \(SpoolOutputFormat.oneLine(claimed ?? ""))
                """)
        case .waiting:
            GuestAgentExit.printMessage(
                "The outcome was NOT delivered: no conductor accepted it in time. It is stored in \(path), \(name); \(remedy) it."
            )
        case .setAside(let reason):
            GuestAgentExit.printMessage(
                "The outcome was REFUSED and set aside in \(path), \(name): \(SpoolOutputFormat.oneLine(reason))")
        case .notKept(let reason):
            GuestAgentExit.printMessage(
                """
                The outcome could NOT be stored in \(path), \(name): \(reason) Its operation counts as running there, and \
                the next exec or `\(flush)` reports it as interrupted, not as it ended.
                """)
        }
    }

    /// Reads configuration and context. If one of them cannot be used, the program ends before it runs the command.
    private func prepare() async throws -> (Settings, NotificationContext?, Logger) {
        do {
            let settings = try await self.settings.load(required: true)
            let logger = try Logger(settings)
            let context = try self.readContext()
            // Reports unusable settings before a spool is created.
            _ = try GuestAgent(settings, outbox: MemoryOutbox(), logger: logger)
            return (settings, context, logger)
        } catch {
            throw Self.unusable(error)
        }
    }

    /// Opens a spool that no other agent uses. If there is none, the program ends before it runs the command.
    private func openSpool(_ settings: Settings, _ logger: Logger) async throws -> (spool: Spool, path: String) {
        do {
            return try await SpoolSlots(try settings.string("spool.directory"))
                .openFirstFree(configuration: .init(settings), logger: logger)
        } catch let error as OutboxError {
            GuestAgentExit.printMessage("spool.directory: \(error) The command was not run.")
            throw Self.exitCode(error)
        } catch {
            throw Self.unusable(error)
        }
    }

    private static func unusable(_ error: any Error) -> any Error {
        if error is ValidationError { return error }
        GuestAgentExit.printMessage("\(error)")
        return GuestAgentExit.configuration
    }

    private static func exitCode(_ error: OutboxError) -> ExitCode {
        error.code == .notWritable ? GuestAgentExit.configuration : GuestAgentExit.temporary
    }

    /// - Returns: nil for a context without a notification.
    private func readContext() throws -> NotificationContext? {
        let data: Data
        let path = ProgramArguments.bytes(of: self.context, option: "--context", in: ProgramArguments.all)
        do {
            data = try RawPathFileReader.read(path)
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
}
