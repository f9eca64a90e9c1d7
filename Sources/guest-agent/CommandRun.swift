import CommandExecution
import Foundation
import GuestAgent
import NIOConcurrencyHelpers
import SystemPackage

/// Runs one command as the operation, with our standard input and output, and its standard error passed on.
final class CommandRun: Sendable {
    /// Names the file that a command may write fields of its end or error event to, as a JSON object.
    static let fieldsVariable = "GUEST_AGENT_END_FIELDS"

    private let arguments: [[UInt8]]
    private let supervisor: CommandSupervisor
    private let standardError: StandardErrorTee
    private let hasRun = NIOLockedValueBox(false)

    /// Prepares all that the command will need of this process, so that nothing of it can be missing once the command runs.
    /// To be called on the main thread, before there is another.
    ///
    /// - Parameter arguments: the program, looked up in `PATH` unless it has a slash, and its arguments.
    /// - Throws: the system's error when it has no room for it.
    init(_ arguments: [[UInt8]]) throws(Errno) {
        self.arguments = arguments
        self.supervisor = try CommandSupervisor()
        self.standardError = try StandardErrorTee()
        try ResourceDemand.reserve()
        try self.standardError.start()
    }

    /// Starts the command when ``run()`` asks for it, and handles signals, until the process ends. To be called on the main thread.
    func supervise() -> Never { self.supervisor.supervise() }

    /// The operation is about to begin: from now on signals are for its command.
    func operationBegins() { self.supervisor.operationBegins() }

    /// The command will not be run: from now on signals are for ``whenToStopWaiting(_:)``.
    func forgo() { self.supervisor.forgo() }

    /// The process ends: nothing that was made for a command which was not run may outlive it.
    func discard() async {
        guard !self.hasRun.withLockedValue({ $0 }) else { return }
        await self.standardError.discard()
    }

    /// Sets what is done at a signal that comes once the command has ended, and not just now.
    func whenToStopWaiting(_ body: @escaping @Sendable () -> Void) {
        self.supervisor.whenToStopWaiting { [standardError] in
            standardError.abandon()
            body()
        }
    }

    /// Runs the command to its end, and reads the fields it left into the current operation's notification.
    ///
    /// - Throws: ``CommandFailure`` when it did not end with exit status 0.
    func run() async throws(CommandFailure) {
        self.hasRun.withLockedValue { $0 = true }
        let fields: EndFieldsFile?
        do {
            fields = try EndFieldsFile()
        } catch {
            GuestAgentExit.say(
                """
                The command can give no end fields: no file for them can be made in TMPDIR, or /tmp without it (\(error)).
                """)
            fields = nil
        }
        defer { fields?.remove() }
        let end: CommandEnd
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
        // An error event has fields too, such as the id of an instance that came half-way.
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
            GuestAgentExit.say(
                "The file that \(Self.fieldsVariable) names \(error); it is ignored: write one JSON object to it.")
        }
    }
}
