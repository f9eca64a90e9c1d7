// SPDX-License-Identifier: Apache-2.0

import DequeModule
import Dispatch
import NIOConcurrencyHelpers
import Timing

/// Timeouts: a disk that hangs must not make callers wait without limit.
extension SpoolWriter {
    /// Schedules the next check after a quarter of the write timeout, on a queue that does not wait for the disk.
    func watchLater() {
        let interval = (self.configuration.writeTimeout / 4).dispatchInterval
        DispatchQueue.global().asyncAfter(deadline: .now() + interval) { [weak self] in self?.watch() }
    }

    private func watch() {
        let now = DispatchTime.now()
        let (overdue, held, goesOn) = self.state.withLockedValue { state -> ([SpoolWrite], Deque<SpoolWrite>, Bool) in
            var overdue = state.inFlight.filter { $0.deadline <= now }
            let late = state.pending.takeOverdue(now)
            for write in late {
                switch write.change {
                case .begin: state.leaveBeginning(write)
                case .finish(let finish): state.kept.append(finish)
                case .cancel, .remove, .setAside: break
                }
            }
            overdue += late
            let held = state.pending.takeOverdueHeld(now)
            for write in held { state.leaveBeginning(write) }
            state.isWatched = !state.pending.isEmpty || !state.inFlight.isEmpty
            return (overdue, held, state.isWatched)
        }
        for write in overdue { write.answer(.failure(self.slowness(write.change))) }
        for write in held { write.answer(.failure(self.longClaim)) }
        if !overdue.isEmpty { self.retryLater() }
        if goesOn { self.watchLater() }
    }

    private func slowness(_ change: SpoolChange) -> OutboxError {
        let consequence: String
        switch change {
        case .begin: consequence = " The operation was not begun."
        case .finish: consequence = " The outcome is stored in memory, and the write is retried until it succeeds."
        case .cancel, .remove, .setAside: consequence = ""
        }
        return OutboxError(
            .diskSlow,
            """
            The disk of the spool \(self.store.directory.path) has completed no write for \(self.configuration.writeTimeout); \
            check the disk.\(consequence)
            """)
    }

    /// The error for an operation that did not begin because it waited for a claim.
    private var longClaim: OutboxError {
        OutboxError(
            .diskSlow,
            """
            For \(self.configuration.writeTimeout) the spool \(self.store.directory.path) has been setting aside outcomes of \
            another guest; try again later. The operation was not begun.
            """)
    }

    /// Handles the result of a change whose caller no longer waits.
    ///
    /// - Returns: whether an outcome waits although its caller got an error.
    func handleLateResult(_ write: SpoolWrite, _ result: Result<Void, OutboxError>) -> Bool {
        guard case .success = result else { return false }
        switch write.change {
        case .begin(let begin):
            // The caller got an error that says the operation was not begun, and has not run it.
            self.enqueue(SpoolWrite(.cancel(begin.messageID), nil, deadline: .distantFuture))
            return false
        case .finish: return true
        case .cancel, .remove, .setAside: return false
        }
    }
}
