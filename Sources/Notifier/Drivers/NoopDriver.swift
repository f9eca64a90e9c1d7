// SPDX-License-Identifier: Apache-2.0

public import DriverErrors
public import Notifications

/// The `noop` driver: confirms every notification and sends nothing.
public struct NoopDriver: NotificationDriver {
    /// The driver's name, `noop`.
    public let name = DriverName.noop.rawValue

    /// Creates a driver that sends nothing.
    public init() {}

    /// Succeeds at once.
    public func emit(
        _ notification: NotificationMessage, completion: @escaping @Sendable (Result<Void, DriverError>) -> Void
    ) {
        completion(.success(()))
    }
}
