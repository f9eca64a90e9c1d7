// SPDX-License-Identifier: Apache-2.0

import CommandExecution
import Foundation
import GuestAgent
import NIOConcurrencyHelpers
import Notifications
import SystemPackage

/// A run of one command as the operation. The command has this process's standard input and output, and its standard
/// error is passed on.
final class CommandRun: Sendable {
    /// The environment variable that names the file to which a command may write fields of its end or error event, as a
    /// JSON object.
    static let fieldsVariable = "GUEST_AGENT_END_FIELDS"

    private let arguments: [[UInt8]]
    private let supervisor: CommandSupervisor
    private let standardError: StandardErrorTee
    private let hasRun = NIOLockedValueBox(false)

    /// Reserves everything that the command will need of this process, so that nothing can be missing once the command
    /// runs. Call it on the main thread, before any other thread exists.
    ///
    /// - Parameter arguments: the program, looked up in `PATH` unless it has a slash, and its arguments.
    /// - Throws: the system's error when it lacks the resources.
    init(_ arguments: [[UInt8]]) throws(Errno) {
        self.arguments = arguments
        self.supervisor = try CommandSupervisor()
        self.standardError = try StandardErrorTee()
        try ResourceRequirements.reserve()
        try self.standardError.start()
    }

    /// Starts the command when ``run()`` asks for it, and handles signals, until the process ends. Call it on the main
    /// thread.
    func supervise() -> Never { self.supervisor.supervise() }

    /// Records that the operation is about to begin: from now on signals are for its command.
    func operationBegins() { self.supervisor.operationBegins() }

    /// Records that the command will not run: from now on a signal calls the body of ``whenToStopWaiting(_:)``.
    func recordNoCommand() { self.supervisor.recordNoCommand() }

    /// Ends what was created for a command that was not run, so that none of it outlives this process.
    func discard() async {
        guard !self.hasRun.withLockedValue({ $0 }) else { return }
        await self.standardError.discard()
    }

    /// Sets the body to call at a signal when no command will run, or when the command ended at least one second
    /// before.
    func whenToStopWaiting(_ body: @escaping @Sendable () -> Void) {
        self.supervisor.whenToStopWaiting { [standardError] in
            standardError.abandon()
            body()
        }
    }

    /// Runs the command to its end, and adds the fields that it wrote to the current operation's notification.
    ///
    /// - Throws: ``CommandFailure`` when it did not end with exit status 0.
    func run() async throws(CommandFailure) {
        self.hasRun.withLockedValue { $0 = true }
        let fields: EndFieldsFile?
        do {
            fields = try EndFieldsFile()
        } catch {
            GuestAgentExit.printMessage(
                """
                The command can set no end fields: no file for them can be created in TMPDIR, or in /tmp without it (\(error)).
                """)
            fields = nil
        }
        defer { fields?.remove() }
        let end: CommandTermination
        do {
            end = try await self.supervisor.run(
                self.arguments, variable: (Self.fieldsVariable, fields?.path ?? Array("/nonexistent/end-fields".utf8)),
                standardError: self.standardError.writeEnd)
        } catch {
            _ = await self.standardError.finish()
            throw CommandFailure(
                CommandStartFailure(
                    self.arguments[0], error, searchPath: ProcessInfo.processInfo.environment["PATH"]))
        }
        let lines = await self.standardError.finish()
        // An error event has fields too, such as the id of an instance that was only partly created.
        if let fields { self.take(fields) }
        let program = TerminalText.plain(String(decoding: self.arguments[0], as: UTF8.self))
        if let failure = CommandFailure(program: program, end: end, lastLines: lines) { throw failure }
    }

    private func take(_ file: EndFieldsFile) {
        guard let notification = OperationNotification.current else { return }
        do {
            guard let bytes = try file.read() else { return }
            guard case .object(let object)? = try? JSONValue(json: bytes) else {
                throw EndFieldsFile.Problem(description: "holds no JSON object")
            }
            for member in object.members { notification.set(member.name, to: member.value) }
        } catch {
            GuestAgentExit.printMessage(
                "The file that \(Self.fieldsVariable) names \(error); it is ignored: write one JSON object to it.")
        }
    }
}
