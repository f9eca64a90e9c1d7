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
        let timedOut = self.inFlight.filter { $0.deadline <= now } + late
        if !timedOut.isEmpty {
            // Each text is made once: there may be many callers.
            let errors = TimeoutErrors(self)
            for write in timedOut { check.failures.append((write, errors[write.change])) }
            self.scheduleRetry(now)
        }
        let held = self.pending.removeOverdueHeld(now)
        self.removeBeginnings(held)
        if !held.isEmpty {
            let error = self.claimTimeoutError
            for write in held { check.failures.append((write, error)) }
        }
        self.checksDeadlines = !self.pending.isEmpty || !self.inFlight.isEmpty
        check.continues = self.checksDeadlines
        check.wakeup = self.scheduleTurn()
        return check
    }

    /// The error for an operation that cannot wait to begin, because too many do.
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

    /// The errors of changes that the disk has not completed in time.
    private struct TimeoutErrors {
        private let begin: OutboxError
        private let finish: OutboxError
        private let other: OutboxError

        init(_ machine: SpoolWriterStateMachine) {
            self.begin = machine.diskSlowError(" The operation was not begun.")
            self.finish = machine.diskSlowError(" " + SpoolWriterStateMachine.storedInMemory)
            self.other = machine.diskSlowError("")
        }

        subscript(change: SpoolChange) -> OutboxError {
            switch change {
            case .begin: self.begin
            case .finish: self.finish
            case .cancel, .remove, .setAside: self.other
            }
        }
    }

    private static let storedInMemory = "The outcome is stored in memory, and the write is retried until it succeeds."

    private func diskSlowError(_ consequence: String) -> OutboxError {
        OutboxError(
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

    /// Returns the error for an outcome that the disk refused and that is stored in memory.
    static func storedInMemoryError(_ error: OutboxError) -> OutboxError {
        OutboxError(error.code, "\(error.description) \(self.storedInMemory)")
    }
}
