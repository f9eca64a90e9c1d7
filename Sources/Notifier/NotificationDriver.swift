// SPDX-License-Identifier: Apache-2.0

public import DriverErrors
public import Notifications

/// A way to send notifications; oslo.messaging calls it a driver.
public protocol NotificationDriver: Sendable {
    /// The name that selects the driver in a configuration.
    var name: String { get }

    /// Sends one notification, without blocking.
    ///
    /// - Parameters:
    ///   - notification: the notification to send.
    ///   - completion: called exactly once, on any thread, when the driver has confirmed the notification or has
    ///     failed. The messaging drivers confirm it when the broker has confirmed it.
    func emit(_ notification: NotificationMessage, completion: @escaping @Sendable (Result<Void, DriverError>) -> Void)

    /// Maintains the driver's connections until the task is cancelled or a graceful shutdown begins.
    func run() async throws
}

extension NotificationDriver {
    /// Returns at once: the default for a driver without connections.
    public func run() async throws {}

    /// Sends one notification and waits until the driver has confirmed it.
    package func emit(_ notification: NotificationMessage) async throws(DriverError) {
        let result = await withCheckedContinuation { continuation in
            self.emit(notification) { continuation.resume(returning: $0) }
        }
        try result.get()
    }
}

/// A driver that can send notifications in batches, and prepare a long one on another thread.
package protocol BatchingDriver: NotificationDriver {
    /// Sends one of several notifications. It may wait for ``flush()``, which the caller must call soon.
    func enqueue(
        _ notification: NotificationMessage, completion: @escaping @Sendable (Result<Void, DriverError>) -> Void)

    /// Does the part of ``enqueue(_:completion:)`` that takes long for a long notification.
    ///
    /// This method may be called on a thread of low priority. It therefore changes nothing, and holds no lock that
    /// other threads may wait for.
    ///
    /// - Returns: the remaining work, which may be dropped without being done.
    func prepare(_ notification: NotificationMessage) -> PreparedNotification

    /// Sends the enqueued notifications, without blocking.
    func flush()
}

extension BatchingDriver {
    /// Sends the notification immediately: the default for a driver that gains nothing from batches.
    package func enqueue(
        _ notification: NotificationMessage, completion: @escaping @Sendable (Result<Void, DriverError>) -> Void
    ) {
        self.emit(notification, completion: completion)
    }

    /// Defers all work: the default for a driver in which nothing takes long.
    package func prepare(_ notification: NotificationMessage) -> PreparedNotification {
        PreparedNotification { self.enqueue(notification, completion: $0) }
    }

    /// Does nothing: the default for a driver that sends each notification immediately.
    package func flush() {}
}

/// Adapts a driver that sends each notification immediately.
struct UnbatchedDriver: BatchingDriver {
    let driver: any NotificationDriver

    var name: String { self.driver.name }

    func emit(
        _ notification: NotificationMessage, completion: @escaping @Sendable (Result<Void, DriverError>) -> Void
    ) {
        self.driver.emit(notification, completion: completion)
    }

    func run() async throws { try await self.driver.run() }
}

/// The drivers that are part of the relay.
public enum DriverName: String, Sendable, Hashable, CaseIterable {
    /// JSON lines on standard output.
    case log
    /// RabbitMQ, with the message object itself.
    case messaging
    /// RabbitMQ, with the message object in oslo's envelope.
    case messagingv2
    /// No output.
    case noop
    /// Memory, for tests.
    case test
}
