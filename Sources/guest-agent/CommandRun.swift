import Foundation
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
        case running(@Sendable (Signal) -> Void)
        case ended
    }

    private let command: [String]
    private let phase = NIOLockedValueBox(Phase.notStarted(pending: []))

    /// - Parameter command: the program, looked up in `PATH` unless it has a slash, and its arguments.
    init(command: [String]) { self.command = command }

    /// Passes a signal on to the command.
    ///
    /// - Returns: false when the command has ended.
    func send(_ signal: Signal) -> Bool {
        let send = self.phase.withLockedValue { phase -> (@Sendable (Signal) -> Void)? in
            switch phase {
            case .notStarted(let pending):
                phase = .notStarted(pending: pending + [signal])
                return { _ in }
            case .running(let send): return send
            case .ended: return nil
            }
        }
        send?(signal)
        return send != nil
    }

    /// Runs the command to its end, and reads the fields it left into the current operation's notification.
    ///
    /// - Throws: ``CommandFailure`` when it did not end with exit status 0.
    func run() async throws {
        let fieldsFile = FileManager.default.temporaryDirectory.appending(
            path: "guest-agent-\(ProcessInfo.processInfo.processIdentifier)-\(MessageID())")
        defer { try? FileManager.default.removeItem(at: fieldsFile) }
        defer { self.phase.withLockedValue { $0 = .ended } }

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
        try await Subprocess.run(
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
            guard case .notStarted(let pending) = phase else { return [] }
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
