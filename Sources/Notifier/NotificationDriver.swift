public import Notifications

/// One way to send notifications: what oslo.messaging calls a driver.
public protocol NotificationDriver: Sendable {
    /// The name it is chosen by in a configuration.
    var name: String { get }

    /// Sends one notification, without blocking.
    ///
    /// - Parameters:
    ///   - notification: what to send.
    ///   - completion: called exactly once, on any thread, when the driver can vouch for the notification (the
    ///     messaging drivers: when the broker has confirmed it) or cannot.
    func emit(_ notification: NotificationMessage, completion: @escaping @Sendable (Result<Void, DriverError>) -> Void)

    /// Sends one notification of several: it may wait for ``flush()``, which is sure to follow soon.
    func enqueue(
        _ notification: NotificationMessage, completion: @escaping @Sendable (Result<Void, DriverError>) -> Void)

    /// Does the part of ``enqueue(_:completion:)`` that takes long for a long notification.
    ///
    /// May be called on a thread of a low priority. So it changes nothing, and holds no lock that other threads may wait for.
    ///
    /// - Returns: the rest, which may be dropped without having been done.
    func prepare(_ notification: NotificationMessage) -> PreparedNotification

    /// Sends what was enqueued, without blocking.
    func flush()

    /// Keeps the driver's connections until the task is cancelled or a graceful shutdown begins.
    func run() async throws
}

extension NotificationDriver {
    /// A driver that gains nothing by sending several at once sends each as it comes.
    public func enqueue(
        _ notification: NotificationMessage, completion: @escaping @Sendable (Result<Void, DriverError>) -> Void
    ) {
        self.emit(notification, completion: completion)
    }

    /// A driver for which nothing takes long does all of it later.
    public func prepare(_ notification: NotificationMessage) -> PreparedNotification {
        PreparedNotification { self.enqueue(notification, completion: $0) }
    }

    /// A driver that sends each as it comes has nothing to flush.
    public func flush() {}

    /// A driver without connections has nothing to run.
    public func run() async throws {}

    /// Sends one notification and waits until the driver can vouch for it.
    public func emit(_ notification: NotificationMessage) async throws(DriverError) {
        let result = await withCheckedContinuation { continuation in
            self.emit(notification) { continuation.resume(returning: $0) }
        }
        try result.get()
    }
}

/// Why a driver cannot vouch for a notification.
public struct DriverError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What kind of failure.
    public struct Code: Sendable, Hashable {
        private let value: String

        /// It cannot be taken now; the same notification can succeed later.
        public static let unavailable = Code(value: "unavailable")
        /// As many of its sender's notifications wait as may of one; the same notification can succeed later.
        public static let rateLimited = Code(value: "rate limited")
        /// It is larger than what is behind the driver takes.
        public static let tooLarge = Code(value: "too large")
        /// It can never be taken.
        public static let refused = Code(value: "refused")
    }

    /// What kind of failure.
    public let code: Code
    /// The driver's name.
    public let driver: String
    /// What happened, as a clause.
    public let reason: String
    /// With ``Code/tooLarge``: the size that would be taken, in bytes.
    public let limitBytes: Int?
    /// Whether the notification may have gone out all the same, as when the confirmation is what got lost.
    package let mayHaveArrived: Bool

    /// An error of this kind.
    public init(_ code: Code, driver: String, reason: String, limitBytes: Int? = nil) {
        self.code = code
        self.driver = driver
        self.reason = reason
        self.limitBytes = limitBytes
        self.mayHaveArrived = code == .unavailable
    }

    /// The same with a word on whether the notification may have gone out.
    package init(_ error: DriverError, mayHaveArrived: Bool) {
        self.code = error.code
        self.driver = error.driver
        self.reason = error.reason
        self.limitBytes = error.limitBytes
        self.mayHaveArrived = mayHaveArrived
    }

    /// Whether the same notification can succeed later.
    public var isRetryable: Bool { self.code == .unavailable || self.code == .rateLimited }

    /// The driver and the reason.
    public var description: String { "driver \(self.driver): \(self.reason)" }
}

/// The drivers that come with the relay.
public enum DriverName: String, Sendable, Hashable, CaseIterable {
    /// JSON lines on standard output.
    case log
    /// RabbitMQ, the message as it is.
    case messaging
    /// RabbitMQ, the message in oslo's envelope.
    case messagingv2
    /// Nowhere.
    case noop
    /// Kept in memory.
    case test
}
