import Notifications

/// What a notification object has told so far: a start, and one outcome of its own or somebody else's. A state machine;
/// ``APINotification`` keeps it behind a lock, and does what it says.
struct NotificationLife {
    private enum Outcome {
        case open
        /// The phase and its message are decided; a driver has them.
        case telling(OperationPhase, NotificationMessage?)
        /// A driver could not take it now: the same message can be sent again.
        case untold(OperationPhase, NotificationMessage?)
        case told
        case handingOn
        case handedOn
    }

    private enum Start {
        case open, telling, told
    }

    private var start = Start.open
    private var outcome = Outcome.open

    /// - Parameter isStarted: whether somebody else has told the start.
    init(isStarted: Bool = false) { if isStarted { self.start = .told } }

    /// Whether nothing was decided of the outcome, nor the context handed on.
    var isOpen: Bool { if case .open = self.outcome { true } else { false } }

    /// The outcome that was decided and that no driver vouches for yet.
    var untoldPhase: OperationPhase? { if case .untold(let phase, _) = self.outcome { phase } else { nil } }

    // MARK: The start

    /// - Returns: false when it has been told.
    mutating func beginStart() throws(Misuse) -> Bool {
        switch self.start {
        case .open:
            self.start = .telling
            return true
        case .telling: throw .beingTold
        case .told: return false
        }
    }

    mutating func startEnded(isTold: Bool) { self.start = isTold ? .told : .open }

    // MARK: The outcome

    /// What cannot be asked for now.
    enum Misuse: Error {
        case beingTold, outcomeDecided, handedOn
    }

    /// Decides the outcome, or takes up again one of the same phase that was not told.
    ///
    /// - Parameter make: makes the message; nil where the event is switched off. When it throws, nothing is decided.
    /// - Returns: the message.
    mutating func begin(
        _ phase: OperationPhase, make: () throws -> NotificationMessage?
    ) throws -> NotificationMessage? {
        let message: NotificationMessage?
        switch self.outcome {
        case .open: message = try make()
        case .untold(phase, let earlier): message = earlier
        case .telling, .handingOn: throw Misuse.beingTold
        case .untold, .told: throw Misuse.outcomeDecided
        case .handedOn: throw Misuse.handedOn
        }
        self.outcome = .telling(phase, message)
        return message
    }

    /// The drivers have answered.
    mutating func outcomeEnded(_ error: DriverError?) {
        guard case .telling(let phase, let message) = self.outcome else { return }
        switch error {
        case nil: self.outcome = .told
        case let error? where error.isRetryable: self.outcome = .untold(phase, message)
        // So it can never be told, but perhaps with less in it.
        case .some: self.outcome = .open
        }
    }

    // MARK: Handing on

    /// From now on nobody else can tell the outcome here.
    mutating func beginHandingOn() throws(Misuse) {
        switch self.outcome {
        case .open: self.outcome = .handingOn
        case .telling, .handingOn: throw .beingTold
        case .untold, .told: throw .outcomeDecided
        case .handedOn: throw .handedOn
        }
    }

    mutating func handingOnEnded(isHandedOn: Bool) { self.outcome = isHandedOn ? .handedOn : .open }
}
