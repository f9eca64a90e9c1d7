// SPDX-License-Identifier: Apache-2.0

import DriverErrors
import Notifications

/// Decides which events of a notification object may be published: a start, and one outcome, published here or handed
/// off. It holds no I/O; ``APINotification`` keeps it behind a lock and acts on its decisions.
struct NotificationStateMachine {
    private enum Outcome {
        case open
        /// The phase and its message are decided; the drivers have the message.
        case publishing(OperationPhase, NotificationMessage?)
        /// A driver could not accept the message now; the same message can be sent again.
        case unpublished(OperationPhase, NotificationMessage?)
        case published
        case handingOff
        case handedOff
    }

    private enum Start {
        case open, publishing, published
    }

    private var start = Start.open
    private var outcome = Outcome.open

    /// - Parameter isStarted: whether another party has published the start.
    init(isStarted: Bool = false) { if isStarted { self.start = .published } }

    /// Whether no outcome was decided, and the context was not handed off.
    var isOpen: Bool { if case .open = self.outcome { true } else { false } }

    /// The phase of the decided outcome that could not be published and can be sent again; nil when there is none.
    var unpublishedPhase: OperationPhase? { if case .unpublished(let phase, _) = self.outcome { phase } else { nil } }

    // MARK: The start

    /// Begins to publish the start.
    ///
    /// - Returns: false when the start was published before.
    mutating func beginStart() throws(Misuse) -> Bool {
        switch self.start {
        case .open:
            self.start = .publishing
            return true
        case .publishing: throw .inProgress
        case .published: return false
        }
    }

    mutating func startEnded(isPublished: Bool) { self.start = isPublished ? .published : .open }

    // MARK: The outcome

    /// The reason why a request is not possible now.
    enum Misuse: Error {
        case inProgress, outcomeDecided, handedOff
    }

    /// Decides the outcome, or continues with an earlier outcome of the same phase that could not be published.
    ///
    /// - Parameter make: creates the message; nil when the event is switched off. When it throws, nothing is decided.
    /// - Returns: the message.
    mutating func begin(
        _ phase: OperationPhase, make: () throws -> NotificationMessage?
    ) throws -> NotificationMessage? {
        let message: NotificationMessage?
        switch self.outcome {
        case .open: message = try make()
        case .unpublished(phase, let earlier): message = earlier
        case .publishing, .handingOff: throw Misuse.inProgress
        case .unpublished, .published: throw Misuse.outcomeDecided
        case .handedOff: throw Misuse.handedOff
        }
        self.outcome = .publishing(phase, message)
        return message
    }

    /// Records the drivers' result for the outcome.
    mutating func outcomeEnded(_ error: DriverError?) {
        guard case .publishing(let phase, let message) = self.outcome else { return }
        switch error {
        case nil: self.outcome = .published
        case let error? where error.isRetryable: self.outcome = .unpublished(phase, message)
        // This message can never be published, but a message with less in it may be.
        case .some: self.outcome = .open
        }
    }

    // MARK: Handing off

    /// Begins a handoff; no outcome can be published here until it ends.
    mutating func beginHandoff() throws(Misuse) {
        switch self.outcome {
        case .open: self.outcome = .handingOff
        case .publishing, .handingOff: throw .inProgress
        case .unpublished, .published: throw .outcomeDecided
        case .handedOff: throw .handedOff
        }
    }

    mutating func recordHandoffEnd(isHandedOff: Bool) { self.outcome = isHandedOff ? .handedOff : .open }
}
