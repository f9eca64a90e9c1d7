public import Logging
import NIOConcurrencyHelpers
@_exported public import Notifications
import RabbitMQ
public import ServiceLifecycle

/// Sends notifications through every driver it was given, and keeps the drivers' connections.
public final class Notifier: Service {
    /// The drivers, in the order they were named.
    public let drivers: [any NotificationDriver]
    private let connections: [any Service]
    /// What is taken out of every notification before a driver sees it.
    package let redaction: Redaction

    /// A notifier over drivers of the caller's own, which see nothing that was not redacted.
    public init(drivers: [any NotificationDriver], redaction: Redaction = .standard) {
        self.redaction = redaction
        self.drivers = drivers
        self.connections = drivers.map(DriverConnection.init)
    }

    /// A notifier over drivers chosen by name; `messaging` and `messagingv2` share one connection.
    ///
    /// - Parameters:
    ///   - names: the drivers; one named twice counts once.
    ///   - messaging: the broker, which only the messaging drivers need.
    ///   - redaction: what is taken out of every notification before a driver sees it.
    ///   - logger: where it is logged what happens to the connection, and to standard output.
    /// - Throws: ``DriverError`` when a messaging driver is named and no broker is, or its transport URL is wrong.
    public init(
        names: [DriverName], messaging: MessagingDriver.Configuration? = nil, redaction: Redaction = .standard,
        logger: Logger
    ) throws {
        self.redaction = redaction
        var drivers: [any NotificationDriver] = []
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
                        .refused, driver: name.rawValue,
                        reason: "messaging.transport_url: it is not set, and this driver needs a broker")
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
        self.drivers = drivers
        self.connections = connections
    }

    /// Sends a notification, redacted, through every driver, without blocking.
    ///
    /// - Parameters:
    ///   - notification: what to send.
    ///   - completion: called exactly once, on any thread: with success when every driver vouches for the
    ///     notification, else with the error of one that does not. A retryable error comes first: sending again repeats
    ///     the notification, under its own message id, at the drivers that had taken it.
    public func emit(
        _ notification: NotificationMessage, completion: @escaping @Sendable (Result<Void, DriverError>) -> Void
    ) {
        self.emit(notification, through: self.drivers, completion: completion)
    }

    /// Sends a notification as ``emit(_:completion:)`` does, but it may wait for ``flush()``, which must follow soon: what is sent
    /// together costs less.
    package func enqueue(
        _ notification: NotificationMessage, completion: @escaping @Sendable (Result<Void, DriverError>) -> Void
    ) {
        self.enqueue(notification, through: self.drivers, completion: completion)
    }

    /// Does the part of ``enqueue(_:completion:)`` that takes long for a long notification: redacts it, and has each driver make its
    /// message. Called on any thread; uses nothing that other threads may wait for.
    package func prepare(_ notification: NotificationMessage) -> PreparedNotification {
        let notification = self.redacted(notification, for: self.drivers.count)
        let prepared = self.drivers.map { $0.prepare(notification) }
        guard prepared.count != 1 else { return prepared[0] }
        return PreparedNotification { completion in
            guard !prepared.isEmpty else { return completion(.success(())) }
            let completion = Self.gathering(prepared.count, completion)
            for notification in prepared { notification.enqueue(completion: completion) }
        }
    }

    /// Sends what was enqueued, without blocking.
    package func flush() {
        for driver in self.drivers { driver.flush() }
    }

    /// Sends a notification through some of the drivers.
    func emit(
        _ notification: NotificationMessage, through drivers: [any NotificationDriver],
        completion: @escaping @Sendable (Result<Void, DriverError>) -> Void
    ) {
        self.enqueue(notification, through: drivers, completion: completion)
        for driver in drivers { driver.flush() }
    }

    private func enqueue(
        _ notification: NotificationMessage, through drivers: [any NotificationDriver],
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
        let completion = Self.gathering(drivers.count, completion)
        for driver in drivers { driver.enqueue(notification, completion: completion) }
    }

    /// The notification as so many drivers may see it. Every notification goes through here.
    private func redacted(_ notification: NotificationMessage, for drivers: Int) -> NotificationMessage {
        var notification = self.redaction.redact(notification)
        if drivers > 1 { notification.sender = notification.sender?.chargedOnce() }
        return notification
    }

    /// A completion for each of so many drivers, which calls this one once all of them have ended.
    private static func gathering(
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
            // One driver that took it is enough.
            let mayHaveArrived = errors.count < drivers || errors.contains(where: \.mayHaveArrived)
            completion(.failure(DriverError(worst, mayHaveArrived: mayHaveArrived)))
        }
    }

    /// Sends a notification and waits until every driver vouches for it.
    public func emit(_ notification: NotificationMessage) async throws(DriverError) {
        let result = await withCheckedContinuation { continuation in
            self.emit(notification) { continuation.resume(returning: $0) }
        }
        try result.get()
    }

    /// Keeps the drivers' connections until the task is cancelled or a graceful shutdown begins; then each drains.
    public func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for connection in self.connections {
                group.addTask { try await connection.run() }
            }
            // Drivers without connections return at once; the notifier must not, or its service group would end.
            group.addTask { try? await gracefulShutdown() }
            try await group.waitForAll()
        }
    }
}

/// A driver as a service.
private struct DriverConnection: Service {
    let driver: any NotificationDriver

    func run() async throws { try await self.driver.run() }
}

extension NotificationSender {
    /// The same sender, for one notification that several drivers publish: it is charged for the longest of their messages.
    fileprivate func chargedOnce() -> NotificationSender {
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
