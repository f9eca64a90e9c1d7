import Notifications
import Notifier

/// Emits many notifications, with a bounded number in flight.
struct BoundedEmission {
    let notifier: Notifier
    /// How many may be unconfirmed at once.
    let limit: Int
    /// How long each is offered to a driver that cannot take it now, such as one whose connection is being made.
    let patience: Duration
    let counters: ReportCounters

    /// Emits them all, and returns once every driver vouches for each.
    ///
    /// - Throws: the first `DriverError`, or `CancellationError`; by then nothing is in flight, and some may have been
    ///   published.
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
                        try await self.notifier.emit(message, patience: self.patience)
                        self.counters.published()
                    }
                }
                try await group.waitForAll()
            }
        } catch {
            // Patience that a stop has cut short is no failure.
            try Task.checkCancellation()
            throw error
        }
    }
}
