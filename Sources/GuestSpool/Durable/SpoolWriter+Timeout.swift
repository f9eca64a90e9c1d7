// SPDX-License-Identifier: Apache-2.0

import Dispatch
import NIOConcurrencyHelpers
import Timing

/// Timeouts: a disk that hangs must not make callers wait without limit.
extension SpoolWriter {
    /// Schedules the next check after a quarter of the write timeout, on a queue that does not wait for the disk.
    func scheduleDeadlineCheck() {
        let interval = (self.configuration.writeTimeout / 4).dispatchInterval
        DispatchQueue.global().asyncAfter(deadline: .now() + interval) { [weak self] in self?.checkDeadlines() }
    }

    private func checkDeadlines() {
        let check = self.machine.withLockedValue { $0.checkDeadlines(.now()) }
        for (write, error) in check.failures { write.answer(.failure(error)) }
        self.schedule(check.wakeup)
        if check.continues { self.scheduleDeadlineCheck() }
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
