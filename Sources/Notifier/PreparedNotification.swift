// SPDX-License-Identifier: Apache-2.0

package import DriverErrors

/// A notification that can be sent without long work: the part that takes long for a long notification is done.
package struct PreparedNotification: Sendable {
    private let rest: @Sendable (_ completion: @escaping @Sendable (Result<Void, DriverError>) -> Void) -> Void

    /// Creates a prepared notification.
    ///
    /// - Parameter rest: sends the notification as ``BatchingDriver/enqueue(_:completion:)`` does.
    package init(
        _ rest: @escaping @Sendable (_ completion: @escaping @Sendable (Result<Void, DriverError>) -> Void) -> Void
    ) {
        self.rest = rest
    }

    /// Sends the notification as ``BatchingDriver/enqueue(_:completion:)`` does. Call it at most once.
    package func enqueue(completion: @escaping @Sendable (Result<Void, DriverError>) -> Void) {
        self.rest(completion)
    }
}
