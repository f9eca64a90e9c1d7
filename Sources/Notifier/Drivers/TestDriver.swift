import NIOConcurrencyHelpers
public import Notifications

/// The `test` driver: keeps the latest notifications in memory, for tests of code that notifies.
public final class TestDriver: NotificationDriver {
    /// `test`.
    public let name = DriverName.test.rawValue
    private let capacity: Int
    private let state = NIOLockedValueBox<[NotificationMessage]>([])

    /// - Parameter capacity: how many notifications are kept; past that they are refused as unavailable, so that none
    ///   vanishes unseen.
    public init(capacity: Int = 100_000) { self.capacity = capacity }

    /// What was sent, in order.
    public var notifications: [NotificationMessage] { self.state.withLockedValue { $0 } }

    /// Forgets what was sent.
    public func reset() { self.state.withLockedValue { $0 = [] } }

    /// Keeps the notification.
    public func emit(
        _ notification: NotificationMessage, completion: @escaping @Sendable (Result<Void, DriverError>) -> Void
    ) {
        let isTaken = self.state.withLockedValue { notifications in
            guard notifications.count < self.capacity else { return false }
            notifications.append(notification)
            return true
        }
        guard isTaken else {
            let reason = "its memory is full at \(self.capacity) notifications"
            completion(.failure(DriverError(.unavailable, driver: self.name, reason: reason)))
            return
        }
        completion(.success(()))
    }
}
