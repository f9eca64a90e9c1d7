// SPDX-License-Identifier: Apache-2.0

/// The error of a driver that has not confirmed a notification.
///
/// Whether the same notification can succeed later is ``isRetryable``.
public struct DriverError: Error, Sendable, Hashable, CustomStringConvertible {
    // There is one such type from the broker's connection to the sender, so a failure is classified once, where it
    // occurs. A conductor turns the error into the RPC error of its answer to the guest.

    /// The kind of failure.
    public struct Code: Sendable, Hashable {
        private let value: String

        /// The driver cannot accept the notification now; the same notification can succeed later.
        public static let unavailable = Code(value: "unavailable")
        /// The sender has reached its quota: it has as many waiting notifications as one sender may have. The same
        /// notification can succeed later.
        public static let rateLimited = Code(value: "rate limited")
        /// The notification exceeds the size that the system behind the driver accepts.
        public static let tooLarge = Code(value: "too large")
        /// The driver can never accept the notification.
        public static let rejected = Code(value: "rejected")
    }

    /// The kind of failure.
    public let code: Code
    /// The driver's name.
    public let driver: String
    /// The cause, as a clause for the operator, without secrets.
    public let reason: String
    /// The size limit in bytes, with ``Code/tooLarge``.
    package let limitBytes: Int?
    /// The cause, if the broker or the connection to it failed; nil for every other driver.
    package let cause: BrokerCause?
    /// Whether the notification may have been sent in spite of the error, for example when only the confirmation was
    /// lost. A notification that is sent again can then arrive twice.
    package let mayHaveArrived: Bool

    /// Creates an error of this kind.
    ///
    /// - Parameters:
    ///   - code: the kind of failure. After ``Code/unavailable``, the notification may nevertheless have been sent.
    ///   - driver: the driver's name.
    ///   - reason: the cause, as a clause for the operator, without secrets.
    public init(_ code: Code, driver: String, reason: String) {
        self.init(
            code, driver: driver, reason: reason, limitBytes: nil, cause: nil, mayHaveArrived: code == .unavailable)
    }

    /// Creates an error of this kind with the size limit in bytes.
    package init(_ code: Code, driver: String, reason: String, limitBytes: Int) {
        self.init(
            code, driver: driver, reason: reason, limitBytes: limitBytes, cause: nil,
            mayHaveArrived: code == .unavailable)
    }

    /// Creates an error of a broker's driver.
    ///
    /// - Parameter isSent: whether the message was handed to a connection, where the cause does not imply it.
    package init(
        cause: BrokerCause, driver: String, reason: String, limitBytes: Int? = nil, isSent: Bool = true
    ) {
        self.init(
            cause.code, driver: driver, reason: reason, limitBytes: limitBytes, cause: cause,
            mayHaveArrived: isSent && cause.canOccurAfterSending)
    }

    /// Creates a copy of an error, with this value of ``mayHaveArrived``.
    package init(_ error: DriverError, mayHaveArrived: Bool) {
        self.init(
            error.code, driver: error.driver, reason: error.reason, limitBytes: error.limitBytes, cause: error.cause,
            mayHaveArrived: mayHaveArrived)
    }

    /// Creates a copy of an error, with the name of another driver.
    package init(_ error: DriverError, driver: String) {
        self.init(
            error.code, driver: driver, reason: error.reason, limitBytes: error.limitBytes, cause: error.cause,
            mayHaveArrived: error.mayHaveArrived)
    }

    private init(
        _ code: Code, driver: String, reason: String, limitBytes: Int?, cause: BrokerCause?, mayHaveArrived: Bool
    ) {
        self.code = code
        self.driver = driver
        self.reason = reason
        self.limitBytes = limitBytes
        self.cause = cause
        self.mayHaveArrived = mayHaveArrived
    }

    /// The same failure of a notification of which nothing was sent.
    package var asUnsent: DriverError { DriverError(self, mayHaveArrived: false) }

    /// Whether the same notification can succeed later.
    public var isRetryable: Bool { self.code == .unavailable || self.code == .rateLimited }

    /// The driver and the reason.
    public var description: String { "driver \(self.driver): \(self.reason)" }
}
