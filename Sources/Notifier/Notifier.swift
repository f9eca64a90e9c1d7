// SPDX-License-Identifier: Apache-2.0

public import DriverErrors
public import Logging
import NIOConcurrencyHelpers
public import Notifications
import RabbitMQ
public import ServiceLifecycle

/// Sends notifications through every configured driver, and maintains the drivers' connections.
public final class Notifier: Service {
    /// The drivers, in the order in which they were named.
    package let drivers: [any BatchingDriver]
    private let connections: [any Service]
    /// The redaction that is applied to every notification before a driver sees it.
    package let redaction: Redaction

    /// Creates a notifier with custom drivers, which see only redacted notifications.
    public init(drivers: [any NotificationDriver], redaction: Redaction = .standard) {
        self.redaction = redaction
        self.drivers = drivers.map(Self.batching)
        self.connections = drivers.map(DriverConnection.init)
    }

    /// Creates a notifier with drivers chosen by name; `messaging` and `messagingv2` share one connection.
    ///
    /// - Parameters:
    ///   - names: the drivers; duplicates count once.
    ///   - others: custom drivers, in addition.
    ///   - messaging: the broker; only the messaging drivers need it.
    ///   - redaction: the redaction that is applied to every notification before a driver sees it.
    ///   - logger: logs events of the connection and of standard output.
    /// - Throws: `DriverError` when a messaging driver is named without a broker, or when the transport URL, the
    ///   exchange or the topic is invalid.
    public init(
        names: [DriverName], drivers others: [any NotificationDriver] = [], messaging: MessagingConfiguration? = nil,
        redaction: Redaction = .standard, logger: Logger
    ) throws {
        self.redaction = redaction
        var drivers: [any BatchingDriver] = []
        var connections: [any Service] = []
        var publisher: Publisher?
        for (index, name) in names.enumerated() where names.firstIndex(of: name) == index {
            switch name {
            case .log: drivers.append(LogDriver(logger: logger))
            case .noop: drivers.append(NoopDriver())
            case .test: drivers.append(TestDriver())
            case .messaging, .messagingv2:
                guard let messaging else {
                    throw DriverError(
                        .rejected, driver: name.rawValue,
                        reason: "messaging.transport_url is not set: set it, since this driver needs a broker")
                }
                let shared: Publisher
                if let publisher {
                    shared = publisher
                } else {
                    shared = Publisher(configuration: try PublisherConfiguration(messaging), logger: logger)
                    publisher = shared
                    connections.append(shared)
                }
                drivers.append(
                    MessagingDriver(
                        envelope: name == .messaging ? .messaging : .messagingv2, topic: messaging.topic,
                        publisher: shared))
            }
        }
        self.drivers = drivers + others.map(Self.batching)
        self.connections = connections + others.map(DriverConnection.init)
    }

    private static func batching(_ driver: any NotificationDriver) -> any BatchingDriver {
        driver as? any BatchingDriver ?? UnbatchedDriver(driver: driver)
    }

    /// Sends a notification, redacted, through every driver, without blocking.
    ///
    /// - Parameters:
    ///   - notification: the notification to send.
    ///   - completion: called exactly once, on any thread: with success when every driver has confirmed the
    ///     notification, otherwise with the error of one that has not. A retryable error takes precedence. Sending
    ///     again repeats the notification, with the same message id, at the drivers that had accepted it.
    package func emit(
        _ notification: NotificationMessage, completion: @escaping @Sendable (Result<Void, DriverError>) -> Void
    ) {
        self.emit(notification, through: self.drivers, completion: completion)
    }

    /// Sends a notification as ``emit(_:completion:)`` does, but may wait for ``flush()``, which the caller must call
    /// soon. Notifications that are sent together cost less.
    package func enqueue(
        _ notification: NotificationMessage, completion: @escaping @Sendable (Result<Void, DriverError>) -> Void
    ) {
        self.enqueue(notification, through: self.drivers, completion: completion)
    }

    /// Does the part of ``enqueue(_:completion:)`` that takes long for a long notification: redacts it, and has each
    /// driver encode its message. Can be called on any thread; uses nothing that other threads may wait for.
    package func prepare(_ notification: NotificationMessage) -> PreparedNotification {
        let notification = self.redacted(notification, for: self.drivers.count)
        let prepared = self.drivers.map { $0.prepare(notification) }
        guard prepared.count != 1 else { return prepared[0] }
        return PreparedNotification { completion in
            guard !prepared.isEmpty else { return completion(.success(())) }
            let completion = Self.joinedCompletion(prepared.count, completion)
            for notification in prepared { notification.enqueue(completion: completion) }
        }
    }

    /// Sends the enqueued notifications, without blocking.
    package func flush() {
        for driver in self.drivers { driver.flush() }
    }

    /// Sends a notification through some of the drivers.
    func emit(
        _ notification: NotificationMessage, through drivers: [any BatchingDriver],
        completion: @escaping @Sendable (Result<Void, DriverError>) -> Void
    ) {
        self.enqueue(notification, through: drivers, completion: completion)
        for driver in drivers { driver.flush() }
    }

    private func enqueue(
        _ notification: NotificationMessage, through drivers: [any BatchingDriver],
        completion: @escaping @Sendable (Result<Void, DriverError>) -> Void
    ) {
        guard let first = drivers.first else {
            completion(.success(()))
            return
        }
        let notification = self.redacted(notification, for: drivers.count)
        guard drivers.count > 1 else {
            first.enqueue(notification, completion: completion)
            return
        }
        let completion = Self.joinedCompletion(drivers.count, completion)
        for driver in drivers { driver.enqueue(notification, completion: completion) }
    }

    /// Returns the redacted notification for this number of drivers. Every notification passes through this method.
    private func redacted(_ notification: NotificationMessage, for drivers: Int) -> NotificationMessage {
        var notification = self.redaction.redact(notification)
        if drivers > 1 { notification.sender = notification.sender?.chargedForLongest() }
        return notification
    }

    /// Returns a completion to pass to each of this many drivers. It calls the given one once all of them have
    /// completed.
    private static func joinedCompletion(
        _ drivers: Int, _ completion: @escaping @Sendable (Result<Void, DriverError>) -> Void
    ) -> @Sendable (Result<Void, DriverError>) -> Void {
        let gathering = NIOLockedValueBox((waiting: drivers, errors: [DriverError]()))
        return { result in
            let errors = gathering.withLockedValue { gathering -> [DriverError]? in
                gathering.waiting -= 1
                if case .failure(let error) = result { gathering.errors.append(error) }
                return gathering.waiting == 0 ? gathering.errors : nil
            }
            guard let errors else { return }
            guard let worst = errors.first(where: \.isRetryable) ?? errors.first else {
                completion(.success(()))
                return
            }
            // One driver that accepted the notification is enough.
            let mayHaveArrived = errors.count < drivers || errors.contains(where: \.mayHaveArrived)
            completion(.failure(DriverError(worst, mayHaveArrived: mayHaveArrived)))
        }
    }

    /// Sends a notification and waits until every driver has confirmed it.
    public func emit(_ notification: NotificationMessage) async throws(DriverError) {
        let result = await withCheckedContinuation { continuation in
            self.emit(notification) { continuation.resume(returning: $0) }
        }
        try result.get()
    }

    /// Maintains the drivers' connections until the task is cancelled or a graceful shutdown begins. On graceful
    /// shutdown each one drains.
    public func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for connection in self.connections {
                group.addTask { try await connection.run() }
            }
            // Drivers without connections return at once. The notifier must not return, or its service group would end.
            group.addTask { try? await gracefulShutdown() }
            try await group.waitForAll()
        }
    }
}

/// A service that runs one driver.
private struct DriverConnection: Service {
    let driver: any NotificationDriver

    func run() async throws { try await self.driver.run() }
}

extension NotificationSender {
    /// Returns the same sender for a notification that several drivers publish: it is charged for the longest of their
    /// messages only.
    fileprivate func chargedForLongest() -> NotificationSender {
        let charged = NIOLockedValueBox(0)
        return NotificationSender(key: self.key, name: self.name) { bytes in
            let more = charged.withLockedValue { charged in
                defer { charged = max(charged, bytes) }
                return bytes - charged
            }
            if more > 0 { self.charge(bytes: more) }
        }
    }
}
