// SPDX-License-Identifier: Apache-2.0

import DequeModule
import Dispatch
import NIOConcurrencyHelpers

/// Timeouts: a disk that hangs must not make callers wait without limit.
extension SpoolWriter {
    /// Schedules the next check after a quarter of the patience, on a queue that does not wait for the disk.
    func watchLater() {
        let interval = (self.configuration.patience / 4).dispatchInterval
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
        case .finish: consequence = " The outcome is kept in memory, and is written as soon as the disk takes it."
        case .cancel, .remove, .setAside: consequence = ""
        }
        return OutboxError(
            .diskSlow,
            """
            The disk of the spool \(self.store.directory.path) has taken nothing for \(self.configuration.patience); \
            see what is wrong with it.\(consequence)
            """)
    }

    /// The error for an operation that did not begin because it waited for a claim.
    private var longClaim: OutboxError {
        OutboxError(
            .diskSlow,
            """
            For \(self.configuration.patience) the spool \(self.store.directory.path) has been setting aside what another guest left \
            in it; try again later. The operation was not begun.
            """)
    }

    /// Handles the result of a change whose caller no longer waits.
    ///
    /// - Returns: whether an outcome waits although its caller got an error.
    func settleLate(_ write: SpoolWrite, _ result: Result<Void, OutboxError>) -> Bool {
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
