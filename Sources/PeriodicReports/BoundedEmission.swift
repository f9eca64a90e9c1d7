// SPDX-License-Identifier: Apache-2.0

import Notifications
import Notifier

/// Emits many notifications, with a bounded number in flight.
struct BoundedEmission {
    let notifier: Notifier
    /// The maximum number of unconfirmed notifications.
    let limit: Int
    /// How long each notification is retried with a driver that cannot accept it now, for example while its connection
    /// is being established.
    let retryTimeout: Duration
    let counters: ReportCounters

    /// Emits all notifications, and returns once every driver has confirmed each of them.
    ///
    /// - Throws: the first `DriverError`, or `CancellationError`. By then nothing is in flight, and some notifications
    ///   may have been published.
    func emit<Failure: Error>(
        _ count: Int, _ notification: (Int) throws(Failure) -> NotificationMessage
    ) async throws {
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<count {
                    if index >= self.limit { try await group.next() }
                    try Task.checkCancellation()
                    let message = try notification(index)
                    group.addTask {
                        try await self.notifier.emit(message, retryTimeout: self.retryTimeout)
                        self.counters.published()
                    }
                }
                try await group.waitForAll()
            }
        } catch {
            // A stop also ends retries early; that is a cancellation, not a failure.
            try Task.checkCancellation()
            throw error
        }
    }
}
