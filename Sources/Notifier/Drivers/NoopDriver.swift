// SPDX-License-Identifier: Apache-2.0

package import DriverErrors
package import Notifications

/// The `noop` driver: confirms every notification and sends nothing.
package struct NoopDriver: BatchingDriver {
    /// The driver's name, `noop`.
    package let name = DriverName.noop.rawValue

    /// Creates a driver that sends nothing.
    package init() {}

    /// Succeeds at once.
    package func emit(
        _ notification: NotificationMessage, completion: @escaping @Sendable (Result<Void, DriverError>) -> Void
    ) {
        completion(.success(()))
    }
}
