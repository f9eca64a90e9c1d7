// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOConcurrencyHelpers

/// Keeps a program running through a round: whenever it ends, through a fault or by itself, it is started again.
final class SupervisedProcess: Sendable {
    private struct State {
        var current: BenchProcess?
        var isReady = false
        var isStopping = false
        var isAbandoned = false
        var holds = 0
        var kills = 0
        var endings: [BenchProcess.Ending] = []
    }

    /// The program's name, for the report.
    let name: String
    private let start: @Sendable (_ onReady: @escaping @Sendable () -> Void) throws -> BenchProcess
    private let state = NIOLockedValueBox(State())

    /// - Parameters:
    ///   - name: the program's name, for the report.
    ///   - start: starts it, and makes sure that `onReady` is called once it handles signals.
    init(
        name: String, start: @escaping @Sendable (_ onReady: @escaping @Sendable () -> Void) throws -> BenchProcess
    ) {
        self.name = name
        self.start = start
    }

    /// The number of times that it was ended by SIGKILL, from outside or at a fault point.
    var kills: Int { self.state.withLockedValue { $0.kills } }

    /// Keeps the program running until ``stop()``, and returns how it ended then.
    ///
    /// - Throws: ``BenchError`` if it ends by a signal that the bench did not send: it crashed.
    func run() async throws -> BenchProcess.Ending {
        while true {
            // Started while the lock is held, so that another holder of the lock sees either no process or the current
            // one.
            let (process, isAbandoned) = try self.state.withLockedValue { state -> (BenchProcess?, Bool) in
                guard !state.isAbandoned, state.holds == 0 || state.isStopping else { return (nil, state.isAbandoned) }
                state.current = try self.start { self.ready() }
                return (state.current, false)
            }
            if isAbandoned { return .signalled(SIGKILL) }
            guard let process else {
                try await Task.sleep(for: .milliseconds(5))
                continue
            }
            let ending = await process.ended()
            let (isLast, isCrash) = self.state.withLockedValue { state in
                state.current = nil
                state.isReady = false
                if ending == .signalled(SIGKILL) { state.kills += 1 }
                state.endings.append(ending)
                // If it was killed at a fault point while it was draining, it is started once more, to drain.
                return (state.isAbandoned || (state.isStopping && ending == .exited(0)), ending.isCrash)
            }
            if isLast { return ending }
            if isCrash { throw BenchError("\(self.name) crashed: \(ending)") }
            if case .exited(let status) = ending, status != 0 {
                guard status == 75 else { throw BenchError("\(self.name) ended with exit status \(status)") }
                // The disk of its spool is not available at the moment.
                try await Task.sleep(for: .milliseconds(100))
            }
        }
    }

    /// Its process id, if it runs.
    var pid: pid_t? { self.state.withLockedValue { $0.current }?.pid }

    /// Records that the program handles signals from now on. Before that, SIGTERM would kill it.
    func ready() {
        let process = self.state.withLockedValue { state in
            state.isReady = true
            return state.isStopping ? state.current : nil
        }
        process?.send(SIGTERM)
    }

    /// Kills the program, like a crash.
    ///
    /// - Returns: whether the program was running.
    @discardableResult
    func kill() -> Bool { self.state.withLockedValue { $0.current }?.send(SIGKILL) ?? false }

    /// Prevents the program from being started again, once it has ended, before ``release()``.
    ///
    /// - Returns: its process id, if it runs.
    func hold() -> pid_t? {
        self.state.withLockedValue { $0.holds += 1 }
        return self.pid
    }

    /// Allows the program to be started again.
    func release() { self.state.withLockedValue { $0.holds -= 1 } }

    /// Stops the program (SIGSTOP), and prevents it from being started again, once it has ended, before ``goOn()``.
    func standStill() {
        self.state.withLockedValue { state in
            state.holds += 1
            return state.current
        }?.send(SIGSTOP)
    }

    /// Lets the program continue after ``standStill()``.
    func goOn() {
        self.state.withLockedValue { state in
            state.holds -= 1
            return state.current
        }?.send(SIGCONT)
    }

    /// Kills the program, and does not start it again.
    func abandon() {
        let process = self.state.withLockedValue { state in
            state.isStopping = true
            state.isAbandoned = true
            return state.current
        }
        process?.send(SIGKILL)
    }

    /// Asks the program to end in order.
    func stop() {
        let process = self.state.withLockedValue { state in
            state.isStopping = true
            state.holds = 0
            return state.isReady ? state.current : nil
        }
        process?.send(SIGTERM)
    }
}

extension BenchProcess.Ending {
    fileprivate var isCrash: Bool {
        if case .signalled(let signal) = self { return signal != SIGKILL }
        return false
    }
}
