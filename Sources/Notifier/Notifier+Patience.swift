public import Notifications

extension Notifier {
    /// Sends a notification through every driver, and to a driver that cannot take it now again, until it can or
    /// patience is at its end. A driver that vouches for it is not asked twice.
    ///
    /// Cancelling the task ends the patience, not an attempt under way.
    ///
    /// - Parameters:
    ///   - notification: what to send.
    ///   - patience: for how long attempts are begun; one that has begun may take a driver's own time, which is
    ///     ``MessagingDriver/Configuration/publishTimeout`` for a broker.
    /// - Throws: the error of a driver that does not vouch for it; a retryable one comes first.
    public func emit(_ notification: NotificationMessage, patience: Duration) async throws(DriverError) {
        let deadline = ContinuousClock.now + patience
        let errors = await withTaskGroup(of: DriverError?.self) { group in
            for driver in self.drivers {
                group.addTask { await self.emit(notification, through: driver, until: deadline) }
            }
            var errors: [DriverError] = []
            for await error in group {
                if let error { errors.append(error) }
            }
            return errors
        }
        if let worst = errors.first(where: { $0.isRetryable }) ?? errors.first { throw worst }
    }

    /// - Returns: why the driver does not vouch for it, or nil when it does.
    private func emit(
        _ notification: NotificationMessage, through driver: any NotificationDriver,
        until deadline: ContinuousClock.Instant
    ) async -> DriverError? {
        // A broker's connection is made in milliseconds; one that is away is not asked for it oftener than once a second.
        var pause = Duration.milliseconds(20)
        while true {
            let result = await withCheckedContinuation { continuation in
                self.emit(notification, through: [driver]) { continuation.resume(returning: $0) }
            }
            guard case .failure(let error) = result else { return nil }
            let left = deadline - .now
            guard error.isRetryable, left > .zero else { return error }
            do { try await Task.sleep(for: min(pause, left)) } catch { return result.error }
            pause = min(pause * 2, .seconds(1))
        }
    }
}

extension Result {
    fileprivate var error: Failure? {
        guard case .failure(let error) = self else { return nil }
        return error
    }
}
