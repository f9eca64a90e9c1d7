// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import NIOConcurrencyHelpers

/// A program that the bench runs: it reads the output line by line, and ends the program by its process id.
final class BenchProcess: Sendable {
    /// The way in which a process ended.
    enum Ending: Sendable, Hashable {
        case exited(Int32)
        case signalled(Int32)
    }

    /// The output that is read line by line; the other output goes to the log.
    enum ObservedOutput: Sendable {
        case standardOutput
        case standardError
    }

    private struct State {
        var pid: pid_t?
        var ending: Ending?
        var waiters: [CheckedContinuation<Ending, Never>] = []
    }

    private let state: NIOLockedValueBox<State>

    /// Starts a program.
    ///
    /// - Parameters:
    ///   - program: its path.
    ///   - arguments: without the program's name.
    ///   - environment: added to the bench's own.
    ///   - log: the file for the output that is not read, and for a copy of the output that is.
    ///   - listened: the output that is read.
    ///   - onLine: called with each line, on a thread of this object.
    init(
        _ program: String, _ arguments: [String], environment: [String: String] = [:], log: String,
        listened: ObservedOutput, onLine: @escaping @Sendable (String) -> Void
    ) throws {
        let logFile = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard logFile >= 0 else { throw BenchError("\(log) cannot be opened") }
        var ends: [Int32] = [0, 0]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
            close(logFile)
            throw BenchError("no pipe can be made (errno \(errno))")
        }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, listened == .standardOutput ? ends[1] : logFile, 1)
        posix_spawn_file_actions_adddup2(&actions, listened == .standardError ? ends[1] : logFile, 2)
        // The threads of Dispatch have all signals blocked; the program must not inherit that.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        let variables = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        var argv = ([program] + arguments).map { strdup($0) } + [nil]
        var envp = variables.map { strdup("\($0)=\($1)") } + [nil]
        defer { for text in argv + envp { free(text) } }
        var pid: pid_t = 0
        let result = posix_spawn(&pid, program, &actions, &attributes, &argv, &envp)
        close(ends[1])
        guard result == 0 else {
            close(ends[0])
            close(logFile)
            throw BenchError("\(program) cannot be run (errno \(result))")
        }
        let state = NIOLockedValueBox(State(pid: pid))
        self.state = state
        let (child, input) = (pid, ends[0])
        Thread.detachNewThread {
            Self.read(input, copyTo: logFile, onLine)
            Self.reap(child, state)
        }
    }

    private static func read(_ input: Int32, copyTo log: Int32, _ onLine: (String) -> Void) {
        var chunk = [UInt8](repeating: 0, count: 65_536)
        var rest: [UInt8] = []
        while true {
            let count = Glibc.read(input, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            _ = write(log, chunk, count)
            rest += chunk[..<count]
            while let end = rest.firstIndex(of: 10) {
                onLine(String(decoding: rest[..<end], as: UTF8.self))
                rest.removeSubrange(...end)
            }
        }
        close(input)
        close(log)
    }

    private static func reap(_ child: pid_t, _ state: NIOLockedValueBox<State>) {
        // Not reaped before it is removed from the state and cannot be signalled: another process may then get its
        // number.
        var info = siginfo_t()
        while waitid(P_PID, id_t(child), &info, WEXITED | WNOWAIT) != 0, errno == EINTR {}
        state.withLockedValue { $0.pid = nil }
        var status: Int32 = 0
        waitpid(child, &status, 0)
        let signal = status & 0x7F
        let ending: Ending = signal == 0 ? .exited((status >> 8) & 0xFF) : .signalled(signal)
        let waiters = state.withLockedValue { state in
            state.ending = ending
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume(returning: ending) }
    }

    /// Its process id while it runs.
    var pid: pid_t? { self.state.withLockedValue { $0.pid } }

    /// Sends it a signal if it still runs.
    @discardableResult
    func send(_ signal: Int32) -> Bool {
        self.state.withLockedValue { state in
            guard let pid = state.pid else { return false }
            return kill(pid, signal) == 0
        }
    }

    /// Waits for its end, and until all its output has been read.
    func ended() async -> Ending {
        await withCheckedContinuation { continuation in
            let ending = self.state.withLockedValue { state -> Ending? in
                if state.ending == nil { state.waiters.append(continuation) }
                return state.ending
            }
            if let ending { continuation.resume(returning: ending) }
        }
    }
}

/// The reason why the bench cannot continue. The description is a sentence.
struct BenchError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
