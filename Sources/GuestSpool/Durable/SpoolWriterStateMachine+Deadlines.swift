// SPDX-License-Identifier: Apache-2.0

import DequeModule
import Dispatch

/// Timeouts, and the errors of the writer: a disk that hangs must not make callers wait without limit.
extension SpoolWriterStateMachine {
    /// What the writer must do after it has checked deadlines.
    struct DeadlineCheck {
        /// The changes whose callers stop waiting, and their errors.
        var failures: [(write: SpoolWrite, error: OutboxError)] = []
        var wakeup: Wakeup?
        /// Whether another check is needed.
        var continues = false
    }

    /// Finds the changes whose callers stop waiting. Of those that no transaction has taken, only outcomes are still
    /// written.
    mutating func checkDeadlines(_ now: DispatchTime) -> DeadlineCheck {
        var check = DeadlineCheck()
        let late = self.pending.removeOverdue(now)
        self.removeBeginnings(late)
        for write in late {
            if case .finish(let finish) = write.change { self.unwritten.append(finish) }
        }
        for write in self.inFlight.filter({ $0.deadline <= now }) + late {
            check.failures.append((write, self.diskSlowError(write.change)))
        }
        if !check.failures.isEmpty { self.scheduleRetry(now) }
        let held = self.pending.removeOverdueHeld(now)
        self.removeBeginnings(held)
        for write in held { check.failures.append((write, self.claimTimeoutError)) }
        self.checksDeadlines = !self.pending.isEmpty || !self.inFlight.isEmpty
        check.continues = self.checksDeadlines
        check.wakeup = self.nextWakeup()
        return check
    }

    var closedError: OutboxError { OutboxError(.closed, "The spool \(self.path) was closed.") }

    var tooManyBeginningsError: OutboxError {
        let cause =
            self.pending.isHolding
            ? "outcomes of another guest are being set aside first" : "the disk is slow or hangs"
        return OutboxError(
            .full,
            """
            \(self.beginning.count) operations wait for the spool to begin; the limit maximumCount \
            (\(self.configuration.maximumCount)) or maximumBytes (\(self.configuration.maximumBytes)) is reached: \(cause). Try again later.
            """)
    }

    private func diskSlowError(_ change: SpoolChange) -> OutboxError {
        let consequence: String
        switch change {
        case .begin: consequence = " The operation was not begun."
        case .finish: consequence = " The outcome is stored in memory, and the write is retried until it succeeds."
        case .cancel, .remove, .setAside: consequence = ""
        }
        return OutboxError(
            .diskSlow,
            """
            The disk of the spool \(self.path) has completed no write for \(self.configuration.writeTimeout); \
            check the disk.\(consequence)
            """)
    }

    /// The error for an operation that did not begin because it waited for a claim.
    private var claimTimeoutError: OutboxError {
        OutboxError(
            .diskSlow,
            """
            For \(self.configuration.writeTimeout) the spool \(self.path) has been setting aside outcomes of \
            another guest; try again later. The operation was not begun.
            """)
    }

    /// Returns the error for an outcome that the disk refused and that is kept in memory.
    static func keptError(_ error: OutboxError) -> OutboxError {
        OutboxError(
            error.code,
            "\(error.description) The outcome is stored in memory, and the write is retried until it succeeds.")
    }
}
