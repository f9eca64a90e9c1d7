/// Decides what a signal to this process means: it may be for the command, or end the wait after it.
package struct CommandSupervisionStateMachine: Sendable {
    /// What to do about a signal.
    package enum Action: Sendable, Hashable {
        case none
        /// Ends this process as the signal does by default: nothing has begun.
        case endProgram
        /// Passes it on to the command.
        case passOn
        /// Stops waiting for a conductor.
        case stopWaiting
    }

    private enum State {
        /// Signals that the caller had blocked are for the command.
        case preparing(pending: [Int32])
        /// The operation has begun, and its command is about to start.
        case starting(pending: [Int32])
        case running
        case ended(ContinuousClock.Instant)
        case withoutCommand
    }

    /// A signal this soon after the command's end was sent while it ran, as far as who sent it knew: by a key that ended
    /// it, or by a service manager that stops us both. It may reach us later than what it did to the command.
    static let lateness = Duration.seconds(1)

    private var state = State.preparing(pending: [])

    package init() {}

    /// The operation begins; from now on a signal is for its command.
    package mutating func operationBegins() {
        if case .preparing(let pending) = self.state { self.state = .starting(pending: pending) }
    }

    /// The command has started.
    ///
    /// - Returns: the signals that have come for it, each once.
    package mutating func started() -> [Int32] {
        defer { self.state = .running }
        if case .starting(let pending) = self.state { return pending }
        return []
    }

    /// The command has ended.
    package mutating func ended(now: ContinuousClock.Instant) { self.state = .ended(now) }

    /// No command has started, and none will.
    ///
    /// - Returns: what to do about the signals that have come for it.
    package mutating func notStarted() -> Action {
        defer { self.state = .withoutCommand }
        switch self.state {
        case .preparing(let pending), .starting(let pending): return pending.isEmpty ? .none : .stopWaiting
        case .running, .ended, .withoutCommand: return .none
        }
    }

    /// A signal has come.
    ///
    /// - Parameters:
    ///   - signal: its number.
    ///   - isFromTerminal: whether it was typed at a terminal, which sends it to all processes in its foreground, the
    ///     command's among them.
    ///   - isBlocked: whether the caller had it blocked, so that it would have waited for the command.
    ///   - now: the present.
    package mutating func received(
        _ signal: Int32, isFromTerminal: Bool, isBlocked: Bool = false, now: ContinuousClock.Instant
    ) -> Action {
        switch self.state {
        case .preparing(let pending):
            guard isBlocked else { return .endProgram }
            if !pending.contains(signal) { self.state = .preparing(pending: pending + [signal]) }
            return .none
        case .starting(let pending):
            // There was no process of the command's that the terminal could have sent it to.
            if !pending.contains(signal) { self.state = .starting(pending: pending + [signal]) }
            return .none
        case .running: return isFromTerminal ? .none : .passOn
        case .ended(let time): return time.duration(to: now) < Self.lateness ? .none : .stopWaiting
        case .withoutCommand: return .stopWaiting
        }
    }
}
