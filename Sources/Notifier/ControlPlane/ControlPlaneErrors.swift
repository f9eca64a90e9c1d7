// SPDX-License-Identifier: Apache-2.0

public import DriverErrors
import Notifications

/// The error for a name that no catalogue has.
public struct UnknownEventError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The given name of the operation or event.
    package let name: String
    /// Whether an operation was looked up, not an event.
    package let isOperation: Bool

    init(_ name: String, isOperation: Bool) {
        self.name = name
        self.isOperation = isOperation
    }

    /// One sentence, with no more than the beginning of the name.
    public var description: String {
        "No catalogue has the \(self.isOperation ? "operation" : "event") \(self.name.excerpt)"
    }
}

/// The error for a call that a notification's state does not allow: a mistake in the program that uses it.
public struct NotificationMisuseError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kind of mistake.
    package struct Code: Sendable, Hashable {
        private let value: String

        /// The outcome was published, or another outcome has begun: an operation has one outcome.
        package static let outcomeDecided = Code(value: "outcome decided")
        /// Another call is publishing the event or handing off the context at this moment.
        package static let inProgress = Code(value: "in progress")
        /// The context was handed off: its receiver reports the outcome.
        package static let handedOff = Code(value: "handed off")
    }

    /// The kind of mistake.
    package let code: Code
    /// A sentence that names the operation.
    public let description: String

    init(_ code: Code, _ operation: String) {
        self.code = code
        switch code {
        case .outcomeDecided:
            self.description =
                "The notification of \(operation) already has an outcome: publish only one for each operation."
        case .inProgress:
            self.description =
                "The notification of \(operation) is in use by another call: wait until that call has returned."
        default:
            self.description =
                "The context of \(operation) was handed off: only its receiver can report the outcome."
        }
    }
}

/// The error for starts that not every driver has confirmed.
///
/// Starts that were published before the failure stay published. Each object keeps its message id: the caller can call
/// ``APINotification/start()`` again for the others, or continue the operation without them.
public struct StartError: Error, Sendable, CustomStringConvertible {
    /// The notifications whose start every driver has confirmed.
    public let started: [APINotification]
    /// The others, in order. The first was tried and may have arrived; the rest were not tried.
    public let notStarted: [APINotification]
    /// The reason why the first of those is not confirmed.
    public let cause: DriverError

    /// Whether the same starts can succeed later.
    package var isRetryable: Bool { self.cause.isRetryable }

    /// One sentence.
    public var description: String {
        let all = self.started.count + self.notStarted.count
        let operation = self.notStarted.first?.context.operation ?? "an operation"
        return "\(self.started.count) of \(all) starts of \(operation) were published; \(self.cause)"
    }
}

/// The error for an operation that succeeded and whose end is not published.
public struct UnpublishedEndError: Error, Sendable, CustomStringConvertible {
    /// The operation's notification: ``APINotification/end(_:)`` can be called again.
    public let notification: APINotification
    /// The reason why the end is not published: a `DriverError` or, when a field is missing or mistyped, a
    /// `FieldError`.
    public let cause: any Error

    /// One sentence.
    public var description: String {
        "\(self.notification.context.operation) succeeded, but its end was not published: \(self.cause)"
    }
}
