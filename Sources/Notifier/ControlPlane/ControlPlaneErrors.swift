import Notifications

/// A name that no catalogue has.
public struct UnknownEventError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The operation's or event's name, as it was given.
    public let name: String
    /// Whether an operation was asked for, not an event.
    public let isOperation: Bool

    init(_ name: String, isOperation: Bool) {
        self.name = name
        self.isOperation = isOperation
    }

    /// One sentence, which shows no more than the name's beginning.
    public var description: String {
        "No catalogue has the \(self.isOperation ? "operation" : "event") \(self.name.excerpt)"
    }
}

/// Something was asked of a notification that it cannot do any more: a mistake in the program that uses it.
public struct NotificationUseError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What kind of mistake.
    public struct Code: Sendable, Hashable {
        private let value: String

        /// The outcome was told, or another one was begun to be told: an operation has one outcome.
        public static let outcomeDecided = Code(value: "outcome decided")
        /// It is being told at this moment.
        public static let beingTold = Code(value: "being told")
        /// Its context was handed on: whoever has it tells the outcome.
        public static let handedOn = Code(value: "handed on")
    }

    /// What kind of mistake.
    public let code: Code
    /// A sentence that names the operation.
    public let description: String

    init(_ code: Code, _ operation: String) {
        self.code = code
        switch code {
        case .outcomeDecided:
            self.description = "The notification of \(operation) has its outcome already, and can have one only."
        case .beingTold: self.description = "The notification of \(operation) is being told at this moment."
        default:
            self.description =
                "The context of the notification of \(operation) was handed on: who has it tells the outcome."
        }
    }
}

/// Starts that the drivers do not all vouch for.
///
/// Nothing is taken back: what was started before it has been told. Each object keeps its message id, so that
/// ``APINotification/start()`` of those that are left can be called again, or the operation go on without.
public struct StartError: Error, Sendable, CustomStringConvertible {
    /// The notifications whose start every driver vouches for.
    public let started: [APINotification]
    /// The others, in order. The first was tried, and may have arrived; those behind it were not tried.
    public let notStarted: [APINotification]
    /// Why the first of those is not vouched for.
    public let cause: DriverError

    /// Whether the same starts can succeed later.
    public var isRetryable: Bool { self.cause.isRetryable }

    /// One sentence.
    public var description: String {
        let all = self.started.count + self.notStarted.count
        let operation = self.notStarted.first?.context.operation ?? "an operation"
        return "\(self.started.count) of \(all) starts of \(operation) were told; \(self.cause)"
    }
}

/// An operation has succeeded, and its end is not told.
public struct UntoldEndError: Error, Sendable, CustomStringConvertible {
    /// The operation's notification: ``APINotification/end(_:)`` can be called again.
    public let notification: APINotification
    /// Why the end is not told: a ``DriverError`` or, when a field is missing or mistyped, a ``FieldError``.
    public let cause: any Error

    /// One sentence.
    public var description: String {
        "\(self.notification.context.operation) succeeded, and its end is not told: \(self.cause)"
    }
}
