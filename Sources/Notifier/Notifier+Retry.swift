// SPDX-License-Identifier: Apache-2.0

public import DriverErrors
public import Notifications
import Timing

extension Notifier {
    /// Sends a notification through every driver, and retries each driver that cannot accept it now until it succeeds
    /// or the time is up. A driver that has confirmed the notification is not called again.
    ///
    /// Cancelling the task ends the retries, but not an attempt in flight.
    ///
    /// - Parameters:
    ///   - notification: the notification to send.
    ///   - retryTimeout: the time during which attempts are begun. An attempt that has begun may take the driver's own
    ///     time limit, for a broker ``MessagingConfiguration/publishTimeout``.
    /// - Throws: the error of a driver that has not confirmed the notification; a retryable one takes precedence.
    public func emit(_ notification: NotificationMessage, retryTimeout: Duration) async throws(DriverError) {
        let deadline = ContinuousClock.now + retryTimeout
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

    /// - Returns: the driver's error; nil when the driver has confirmed the notification.
    private func emit(
        _ notification: NotificationMessage, through driver: any BatchingDriver,
        until deadline: ContinuousClock.Instant
    ) async -> DriverError? {
        // A broker connection is established within milliseconds, so the first delay is short. It doubles up to one
        // second for a broker that stays unreachable.
        var backoff = Backoff(minimum: .milliseconds(20), maximum: .seconds(1), jitter: .none)
        while true {
            let result = await withCheckedContinuation { continuation in
                self.emit(notification, through: [driver]) { continuation.resume(returning: $0) }
            }
            guard case .failure(let error) = result else { return nil }
            let left = deadline - .now
            guard error.isRetryable, left > .zero else { return error }
            do { try await Task.sleep(for: min(backoff.next(), left)) } catch { return result.error }
        }
    }
}

extension Result {
    fileprivate var error: Failure? {
        guard case .failure(let error) = self else { return nil }
        return error
    }
}
