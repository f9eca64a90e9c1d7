// SPDX-License-Identifier: Apache-2.0

/// The reason why the broker did not confirm a message. The description is a sentence for the operator, without
/// secrets.
///
/// With a retryable error the message may still have reached its queue, because only the broker's answer may be lost.
/// So a message that is sent again can arrive twice. ``mayHaveArrived`` is false if nothing of the message was sent, or
/// if the broker has reported that it has no queue for it.
package struct PublishError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kind of failure.
    package struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Value: String {
            case notConnected, connectionLost, channelClosed, blocked, inboxFull, senderShareFull, timedOut
            case shuttingDown, accessRefused, returned, nacked, tooLarge, invalidQueue
        }
        private let value: Value

        /// There is no connection to a broker at the moment; nothing was sent.
        package static let notConnected = Code(value: .notConnected)
        /// The connection ended before the broker confirmed, or before the message was sent.
        package static let connectionLost = Code(value: .connectionLost)
        /// The broker closed the channel, because of another message or a deleted exchange, before it confirmed.
        package static let channelClosed = Code(value: .channelClosed)
        /// The broker has a memory or disk alarm and accepts no messages; nothing was sent.
        package static let blocked = Code(value: .blocked)
        /// More messages wait for the broker than the configuration allows; nothing was sent.
        package static let inboxFull = Code(value: .inboxFull)
        /// The sender has reached its quota of the messages that may wait for the broker; nothing was sent.
        package static let senderShareFull = Code(value: .senderShareFull)
        /// The broker did not confirm within the publish timeout, or the message could not be sent early enough for
        /// that.
        package static let timedOut = Code(value: .timedOut)
        /// The publisher is stopping or has stopped.
        package static let shuttingDown = Code(value: .shuttingDown)
        /// The broker rejects the declaration or binding of the queue or its exchange; nothing was sent.
        package static let accessRefused = Code(value: .accessRefused)
        /// The broker had no queue for it. The queue is declared and bound again before the next message to it.
        package static let returned = Code(value: .returned)
        /// The broker rejected the message (`basic.nack`): the queue is full, or its node failed.
        package static let nacked = Code(value: .nacked)
        /// The body is larger than ``PublishError/limit``. Never retryable.
        package static let tooLarge = Code(value: .tooLarge)
        /// The queue's name is empty or longer than 255 bytes. Never retryable.
        package static let invalidQueue = Code(value: .invalidQueue)

        package var description: String { self.value.rawValue }
    }

    package let code: Code
    package let description: String
    /// With ``Code/tooLarge``: the largest body, in bytes, that the broker accepts.
    package let limit: Int?
    /// Whether the message may have reached its queue in spite of the error. If not, nothing of it was sent, or the
    /// broker returned it.
    package let mayHaveArrived: Bool

    /// - Parameter isSent: Whether the message was handed to a connection, where the code does not imply it.
    init(_ code: Code, _ description: String, limit: Int? = nil, isSent: Bool = true) {
        self.code = code
        self.description = description
        self.limit = limit
        self.mayHaveArrived = isSent && code.mayFollowSending
    }

    /// The same failure for a message that was never handed to a connection.
    var ofUnsent: PublishError { PublishError(self.code, self.description, limit: self.limit, isSent: false) }

    /// Whether the same message can succeed later.
    package var isRetryable: Bool {
        self.code != .tooLarge && self.code != .invalidQueue
    }

    /// Whether the broker as a whole (and not only this message or its queue) is unavailable at the moment.
    package var isUnavailable: Bool {
        switch self.code {
        case .notConnected, .connectionLost, .channelClosed, .blocked, .inboxFull, .timedOut, .shuttingDown: true
        default: false
        }
    }

    static func tooLarge(limit: Int) -> PublishError {
        PublishError(
            .tooLarge, "the message is larger than the broker's limit of \(limit) bytes (max_message_size)",
            limit: limit)
    }

    static func blocked(_ reason: String) -> PublishError {
        PublishError(
            .blocked,
            "the broker accepts no messages at the moment (\(reason)); free memory or disk space on the broker")
    }

    static let invalidQueue = PublishError(.invalidQueue, "a queue's name must have 1 to 255 bytes")
    static let inboxFull = PublishError(
        .inboxFull,
        "the limit of messages that wait for the broker is reached; the broker is slower than its publishers")
    static let senderShareFull = PublishError(
        .senderShareFull, "the guest has reached its limit of messages that wait for the broker")
    static let notSentInTime = PublishError(
        .timedOut, "the message waited too long to be sent to the broker", isSent: false)
    /// The error for messages that were sent; ``ofUnsent`` is the one for others.
    static let shuttingDown = PublishError(.shuttingDown, "the publisher is shutting down")
    static let timedOut = PublishError(.timedOut, "the broker did not confirm the message in time")
    /// Returns the error for a message that was sent before the alarm. The broker may publish it when the alarm ends.
    static func timedOut(duringAlarm reason: String) -> PublishError {
        PublishError(
            .timedOut,
            "the broker did not confirm the message in time, and accepts none at the moment (\(reason)); free memory or disk space "
                + "on the broker")
    }
    static let nacked = PublishError(.nacked, "the broker rejected the message (basic.nack): the queue may be full")
}

extension PublishError.Code {
    /// Whether a message that was sent can fail with this code and still reach its queue.
    fileprivate var mayFollowSending: Bool {
        switch self {
        case .notConnected, .blocked, .inboxFull, .senderShareFull, .accessRefused, .returned, .tooLarge, .invalidQueue:
            false
        default: true
        }
    }
}
