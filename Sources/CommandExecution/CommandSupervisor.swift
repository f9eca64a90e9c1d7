// SPDX-License-Identifier: Apache-2.0

import CCommandExecution
import Glibc
import NIOConcurrencyHelpers
package import SystemPackage

/// A supervisor that starts one command, passes signals on to it and reaps it, all on the main thread.
///
/// The main thread has this process's nice value, processors and everything else that Linux keeps for each thread, and
/// it lives as long as the process. Because the same thread sends signals and reaps, no signal reaches another process
/// that got the number of an ended one.
package final class CommandSupervisor: Sendable {
    private typealias Started = CheckedContinuation<Result<CommandTermination, Errno>, Never>

    private struct Request: Sendable {
        var arguments: [[UInt8]]
        var variable: (name: String, value: [UInt8])
        var standardError: FileDescriptor
        var continuation: Started
    }

    private struct State {
        var machine = CommandSupervisionStateMachine()
        var request: Request?
        var stopWaiting: @Sendable () -> Void = {}
    }

    private let state = NIOLockedValueBox(State())

    /// Creates a supervisor, and blocks the signals that it handles. Call it on the main thread, before any other
    /// thread exists.
    ///
    /// - Throws: the system's error when the signals cannot be blocked.
    package init() throws(Errno) { try check(command_signals_hold()) }

    /// Records that the operation begins: from now on a signal is for its command. Before, a signal ended this process.
    package func operationBegins() { self.state.withLockedValue { $0.machine.operationBegins() } }

    /// Records that no command will run: from now on a signal ends the wait for a conductor.
    package func recordNoCommand() {
        let (action, stopWaiting) = self.state.withLockedValue { ($0.machine.notStarted(), $0.stopWaiting) }
        if action == .stopWaiting { stopWaiting() }
    }

    /// Sets the body to call at a signal that is not for the command.
    package func whenToStopWaiting(_ body: @escaping @Sendable () -> Void) {
        self.state.withLockedValue { $0.stopWaiting = body }
    }

    /// Runs the command to its end. Call it once, while ``supervise()`` runs.
    ///
    /// - Parameters:
    ///   - arguments: the program, looked up in `PATH` unless it has a slash, and its arguments.
    ///   - variable: an environment variable that the command gets in addition to this process's.
    ///   - standardError: the command's standard error. It is closed here once the command has started or failed to
    ///     start.
    /// - Throws: the system's error when the command could not be started, and so has not run.
    package func run(
        _ arguments: [[UInt8]], variable: (name: String, value: [UInt8]), standardError: FileDescriptor
    ) async throws(Errno) -> CommandTermination {
        let result = await withCheckedContinuation { continuation in
            self.state.withLockedValue { state in
                state.request = Request(
                    arguments: arguments, variable: variable, standardError: standardError, continuation: continuation)
            }
            command_wake()
        }
        return try result.get()
    }

    /// Starts the command, passes signals on and reaps, until the process ends. Call it on the main thread.
    package func supervise() -> Never {
        var command: (process: pid_t, continuation: Started)?
        while true {
            if let request = self.state.withLockedValue({ $0.request.take() }) {
                command = self.start(request)
            }
            var isFromKernel = false
            let signal = unsafe command_signal_wait(&isFromKernel)
            guard signal == SIGCHLD else {
                if signal != 0 { self.received(signal, isFromKernel: isFromKernel, by: command?.process) }
                continue
            }
            var status: CInt = 0
            // Also reaps children that this process had before exec(2), and orphans in a container.
            while case let process = unsafe command_reap(&status), process != 0 {
                guard let ended = command, ended.process == process else { continue }
                self.state.withLockedValue { $0.machine.ended(now: .now) }
                command = nil
                ended.continuation.resume(returning: .success(CommandTermination(waitStatus: status)))
            }
        }
    }

    private func start(_ request: Request) -> (process: pid_t, continuation: Started)? {
        var arguments = unsafe request.arguments.map { unsafe Self.copy($0) } + [nil]
        let value = unsafe Self.copy(request.variable.value)
        defer {
            unsafe arguments.forEach { unsafe free($0) }
            unsafe free(value)
        }
        var process: pid_t = 0
        let number = unsafe command_start(
            arguments[0], &arguments, request.variable.name, value, request.standardError.rawValue, &process)
        try? request.standardError.close()
        guard number == 0 else {
            self.recordNoCommand()
            request.continuation.resume(returning: .failure(Errno(rawValue: number)))
            return nil
        }
        for signal in self.state.withLockedValue({ $0.machine.started() }) { kill(process, signal) }
        return (process, request.continuation)
    }

    private static func copy(_ bytes: [UInt8]) -> UnsafeMutablePointer<CChar>? {
        unsafe (bytes.map { CChar(bitPattern: $0) } + [0]).withUnsafeBufferPointer { buffer in
            unsafe buffer.baseAddress.flatMap { unsafe strdup($0) }
        }
    }

    private func received(_ signal: CInt, isFromKernel: Bool, by process: pid_t?) {
        let isFromTerminal = isFromKernel && (signal == SIGINT || signal == SIGQUIT)
        let (action, stopWaiting) = self.state.withLockedValue { state in
            let action = state.machine.received(
                signal, isFromTerminal: isFromTerminal, isBlocked: command_was_blocked(signal), now: .now)
            return (action, state.stopWaiting)
        }
        switch action {
        case .none: break
        case .endProgram: command_die(signal)
        case .passOn: if let process { kill(process, signal) }
        case .stopWaiting: stopWaiting()
        }
    }
}
