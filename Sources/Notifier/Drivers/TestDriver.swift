// SPDX-License-Identifier: Apache-2.0

public import DriverErrors
import NIOConcurrencyHelpers
public import Notifications

/// The `test` driver: stores notifications in memory, for tests of code that sends them.
public final class TestDriver: NotificationDriver, BatchingDriver {
    /// The driver's name, `test`.
    public let name = DriverName.test.rawValue
    private let capacity: Int
    private let state = NIOLockedValueBox<[NotificationMessage]>([])

    /// Creates a driver with an empty memory.
    ///
    /// - Parameter capacity: the maximum number of notifications; further ones are rejected as unavailable, so that
    ///   none is lost unnoticed.
    public init(capacity: Int = 100_000) { self.capacity = capacity }

    /// The notifications that were sent, in order.
    public var notifications: [NotificationMessage] { self.state.withLockedValue { $0 } }

    /// Removes the stored notifications.
    public func reset() { self.state.withLockedValue { $0 = [] } }

    /// Stores the notification.
    public func emit(
        _ notification: NotificationMessage, completion: @escaping @Sendable (Result<Void, DriverError>) -> Void
    ) {
        let isAccepted = self.state.withLockedValue { notifications in
            guard notifications.count < self.capacity else { return false }
            notifications.append(notification)
            return true
        }
        guard isAccepted else {
            let reason = "the limit of \(self.capacity) notifications is reached; call reset()"
            completion(.failure(DriverError(.unavailable, driver: self.name, reason: reason)))
            return
        }
        completion(.success(()))
    }
}
