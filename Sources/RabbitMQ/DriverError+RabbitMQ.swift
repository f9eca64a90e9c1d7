// SPDX-License-Identifier: Apache-2.0

import DriverErrors

/// The failures of a publisher. Their reasons are sentences for the operator, without secrets.
///
/// The publisher does not know which of the drivers that share it has sent a message, so these errors name the protocol
/// instead; the driver replaces the name by its own.
extension DriverError {
    init(_ cause: BrokerCause, _ reason: String, limitBytes: Int? = nil, isSent: Bool = true) {
        self.init(cause: cause, driver: "rabbit", reason: reason, limitBytes: limitBytes, isSent: isSent)
    }

    static func tooLarge(limit: Int) -> DriverError {
        DriverError(
            .tooLarge, "the message is larger than the broker's limit of \(limit) bytes (max_message_size)",
            limitBytes: limit)
    }

    static func blocked(_ reason: String) -> DriverError {
        DriverError(
            .blocked,
            "the broker accepts no messages at the moment (\(reason)); free memory or disk space on the broker")
    }

    static let invalidQueue = DriverError(.invalidQueue, "a queue's name must have 1 to 255 bytes")
    static let inboxFull = DriverError(
        .inboxFull,
        "the limit of messages that wait for the broker is reached; the broker is slower than its publishers")
    static let senderQuotaExceeded = DriverError(
        .senderQuotaExceeded, "the guest has reached its limit of messages that wait for the broker")
    static let notSentInTime = DriverError(
        .timedOut, "the message waited too long to be sent to the broker", isSent: false)
    /// The error for messages that were sent; `asUnsent` is the one for others.
    static let shuttingDown = DriverError(.shuttingDown, "the publisher is shutting down")
    static let timedOut = DriverError(.timedOut, "the broker did not confirm the message in time")
    /// Returns the error for a message that was sent before the alarm. The broker may publish it when the alarm ends.
    static func timedOut(duringAlarm reason: String) -> DriverError {
        DriverError(
            .timedOut,
            "the broker did not confirm the message in time, and accepts none at the moment (\(reason)); free memory or disk space "
                + "on the broker")
    }
    static let nacked = DriverError(.nacked, "the broker rejected the message (basic.nack): the queue may be full")

    /// The error for messages that arrive after a connection was lost, with the reason of the loss.
    var asNotConnected: DriverError { DriverError(.notConnected, self.reason) }
}
