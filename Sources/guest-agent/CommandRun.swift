import Foundation
import Glibc
import GuestAgent
import NIOConcurrencyHelpers
import Subprocess
import SystemPackage
import UnixSignals

/// Runs one command as the operation, with our standard input and output, and its standard error passed on.
final class CommandRun: Sendable {
    /// Names the file that a command may write fields of its end or error event to, as a JSON object.
    static let fieldsVariable = "GUEST_AGENT_END_FIELDS"
    /// A file of end fields longer than this is not read.
    private static let fieldsLimit = 64 << 10

    private enum Phase {
        case notStarted(pending: [Signal])
        /// It may be there already, although we do not know its process id yet.
        case starting(pending: [Signal])
        case running(@Sendable (Signal) -> Void)
        case ended(ContinuousClock.Instant)
    }

    /// A signal this soon after the command's end was sent while it ran, as far as who sent it knew: by a key that ended
    /// it, or by a service manager that stops us both. It may reach us later than what it did to the command.
    private static let lateness = Duration.seconds(1)

    private let command: [String]
    private let phase = NIOLockedValueBox(Phase.notStarted(pending: []))

    /// - Parameter command: the program, looked up in `PATH` unless it has a slash, and its arguments.
    init(command: [String]) { self.command = command }

    /// Passes a signal on to the command, unless it has had it from the terminal as we have.
    ///
    /// - Returns: false when the command had ended for a second, so that the signal is not for it.
    func send(_ signal: Signal) -> Bool {
        let (send, isForCommand) = self.phase.withLockedValue { phase -> ((@Sendable (Signal) -> Void)?, Bool) in
            switch phase {
            case .notStarted(let pending): phase = .notStarted(pending: pending + [signal])
            case .starting(let pending):
                if !Self.cameFromTerminal(signal) { phase = .starting(pending: pending + [signal]) }
            case .running(let send): return (Self.cameFromTerminal(signal) ? nil : send, true)
            case .ended(let time): return (nil, time.duration(to: .now) < Self.lateness)
            }
            return (nil, true)
        }
        send?(signal)
        return isForCommand
    }

    /// What is typed at a terminal goes to all processes in its foreground, the command's among them. Who sends such a
    /// signal to us alone, in the foreground, is taken for a terminal.
    private static func cameFromTerminal(_ signal: Signal) -> Bool {
        guard signal == .interrupt || signal == .quit else { return false }
        let terminal = unsafe open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC)
        guard terminal >= 0 else { return false }
        defer { close(terminal) }
        return tcgetpgrp(terminal) == getpgrp()
    }

    /// Runs the command to its end, and reads the fields it left into the current operation's notification.
    ///
    /// - Throws: ``CommandFailure`` when it did not end with exit status 0.
    func run() async throws {
        let fieldsFile = FileManager.default.temporaryDirectory.appending(
            path: "guest-agent-\(ProcessInfo.processInfo.processIdentifier)-\(MessageID())")
        defer { try? FileManager.default.removeItem(at: fieldsFile) }
        defer { self.phase.withLockedValue { $0 = .ended(.now) } }

        let standardError = try StandardErrorTee()
        standardError.start()
        let program = self.command[0]
        let outcome: Result<TerminationStatus, any Error>
        do {
            outcome = .success(try await self.spawn(program, fieldsFile.path, standardError.writeEnd))
        } catch {
            outcome = .failure(error)
        }
        let lines = await standardError.finish()
        // An error event has fields too, such as the id of an instance that came half-way.
        self.readFields(fieldsFile)
        switch outcome {
        case .success(.exited(0)): break
        case .success(let status): throw CommandFailure(program: program, status: status, lastLines: lines)
        case .failure(let error): throw CommandFailure(program: program, error)
        }
    }

    private func spawn(
        _ program: String, _ fieldsFile: String, _ standardError: FileDescriptor
    ) async throws -> TerminationStatus {
        self.phase.withLockedValue { phase in
            if case .notStarted(let pending) = phase { phase = .starting(pending: pending) }
        }
        return try await Subprocess.run(
            program.contains("/") ? .path(FilePath(program)) : .name(program),
            arguments: Arguments(Array(self.command.dropFirst())),
            environment: .inherit.updating([Environment.Key(stringLiteral: Self.fieldsVariable): fieldsFile]),
            input: .currentStandardInput, output: .currentStandardOutput,
            error: .fileDescriptor(standardError, closeAfterSpawningProcess: true)
        ) { execution in
            self.started { signal in try? execution.send(signal: signal) }
        }.terminationStatus
    }

    private func started(_ send: @escaping @Sendable (Signal) -> Void) {
        let pending = self.phase.withLockedValue { phase -> [Signal] in
            guard case .starting(let pending) = phase else { return [] }
            phase = .running(send)
            return pending
        }
        for signal in pending { send(signal) }
    }

    private func readFields(_ file: URL) {
        guard let notification = OperationNotification.current, let handle = try? FileHandle(forReadingFrom: file)
        else { return }
        defer { try? handle.close() }
        guard let data = try? handle.read(upToCount: Self.fieldsLimit + 1), data.count <= Self.fieldsLimit,
            case .object(let object)? = try? JSONValue(json: Array(data))
        else {
            try? FileHandle.standardError.write(
                contentsOf: Data(
                    "guest-agent: the file that \(Self.fieldsVariable) names holds no JSON object; it is ignored.\n"
                        .utf8))
            return
        }
        for member in object.members { notification.set(member.name, to: member.value) }
    }
}
