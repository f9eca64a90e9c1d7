public import Notifications

/// The `noop` driver: vouches for everything and sends nothing.
public struct NoopDriver: NotificationDriver {
    /// `noop`.
    public let name = DriverName.noop.rawValue

    /// A driver that sends nothing.
    public init() {}

    /// Succeeds at once.
    public func emit(
        _ notification: NotificationMessage, completion: @escaping @Sendable (Result<Void, DriverError>) -> Void
    ) {
        completion(.success(()))
    }
}
