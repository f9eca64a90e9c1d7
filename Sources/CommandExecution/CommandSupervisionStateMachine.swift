// SPDX-License-Identifier: Apache-2.0

/// A state machine that decides what a signal to this process means: it may be for the command, or end the wait after
/// the command.
package struct CommandSupervisionStateMachine: Sendable {
    /// The reaction to a signal.
    package enum Action: Sendable, Hashable {
        case none
        /// Ends this process as the signal does by default, because nothing has begun.
        case endProgram
        /// Passes the signal on to the command.
        case passOn
        /// Stops waiting for a conductor.
        case stopWaiting
    }

    private enum State {
        /// The operation has not begun. Pending signals, which the caller had blocked, are for the command.
        case preparing(pending: [Int32])
        /// The operation has begun, and its command is about to start.
        case starting(pending: [Int32])
        case running
        case ended(ContinuousClock.Instant)
        case withoutCommand
    }

    /// The time after the command's end during which a signal does nothing. Its sender assumed that the command was
    /// still running: it was a key that ended the command, or a service manager that stops both processes. The signal
    /// may arrive after its effect on the command.
    static let lateSignalTolerance = Duration.seconds(1)

    private var state = State.preparing(pending: [])

    package init() {}

    /// Records that the operation begins; from now on a signal is for its command.
    package mutating func operationBegins() {
        if case .preparing(let pending) = self.state { self.state = .starting(pending: pending) }
    }

    /// Records that the command has started.
    ///
    /// - Returns: the signals that have arrived for the command, each once.
    package mutating func started() -> [Int32] {
        defer { self.state = .running }
        if case .starting(let pending) = self.state { return pending }
        return []
    }

    /// Records that the command has ended.
    package mutating func ended(now: ContinuousClock.Instant) { self.state = .ended(now) }

    /// Records that no command has started, and that none will.
    ///
    /// - Returns: the reaction to the signals that have arrived for the command.
    package mutating func notStarted() -> Action {
        defer { self.state = .withoutCommand }
        switch self.state {
        case .preparing(let pending), .starting(let pending): return pending.isEmpty ? .none : .stopWaiting
        case .running, .ended, .withoutCommand: return .none
        }
    }

    /// Returns the reaction to a signal, which is recorded if it must wait for the command.
    ///
    /// - Parameters:
    ///   - signal: its number.
    ///   - isFromTerminal: whether the signal was typed at a terminal, which sends it to all processes in its
    ///     foreground, including the command's.
    ///   - isBlocked: whether the caller had blocked the signal, so that it would have stayed pending for the command.
    ///   - now: the current time.
    package mutating func received(
        _ signal: Int32, isFromTerminal: Bool, isBlocked: Bool = false, now: ContinuousClock.Instant
    ) -> Action {
        switch self.state {
        case .preparing(let pending):
            guard isBlocked else { return .endProgram }
            if !pending.contains(signal) { self.state = .preparing(pending: pending + [signal]) }
            return .none
        case .starting(let pending):
            // A terminal could not send it to the command, which has no process yet.
            if !pending.contains(signal) { self.state = .starting(pending: pending + [signal]) }
            return .none
        case .running: return isFromTerminal ? .none : .passOn
        case .ended(let time): return time.duration(to: now) < Self.lateSignalTolerance ? .none : .stopWaiting
        case .withoutCommand: return .stopWaiting
        }
    }
}
