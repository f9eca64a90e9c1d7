/// Why a message was not confirmed by the broker. The description is a sentence for the operator, without secrets.
///
/// With a retryable error the message may still have reached its queue (the broker's answer may be what got lost): whoever
/// sends it again must accept that it can arrive twice. ``mayHaveArrived`` is false where nothing of it was sent, or the broker has
/// said that it has no queue for it.
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
        /// A memory or disk alarm of the broker: it takes no messages; nothing was sent.
        package static let blocked = Code(value: .blocked)
        /// More messages wait for the broker than the configuration allows; nothing was sent.
        package static let inboxFull = Code(value: .inboxFull)
        /// As much of this sender waits for the broker as may of one; nothing was sent.
        package static let senderShareFull = Code(value: .senderShareFull)
        /// The broker did not confirm within the publish timeout, or the message was not sent early enough for it to confirm.
        package static let timedOut = Code(value: .timedOut)
        /// The publisher stops, or has stopped.
        package static let shuttingDown = Code(value: .shuttingDown)
        /// The broker does not let us declare or bind the queue or its exchange; nothing was sent.
        package static let accessRefused = Code(value: .accessRefused)
        /// The broker had no queue for it. The queue is declared and bound again before the next message to it.
        package static let returned = Code(value: .returned)
        /// The broker refused it: the queue is full, or its node failed.
        package static let nacked = Code(value: .nacked)
        /// The body is larger than ``PublishError/limit``. Never retryable.
        package static let tooLarge = Code(value: .tooLarge)
        /// The queue's name is empty or longer than 255 bytes. Never retryable.
        package static let invalidQueue = Code(value: .invalidQueue)

        package var description: String { self.value.rawValue }
    }

    package let code: Code
    package let description: String
    /// With ``Code/tooLarge``: the largest body, in bytes, that the broker takes.
    package let limit: Int?
    /// Whether the message may have reached its queue in spite of the error; if not, nothing of it was sent, or it came back.
    package let mayHaveArrived: Bool

    /// - Parameter isSent: Whether the message was handed to a connection, where the code does not imply it.
    init(_ code: Code, _ description: String, limit: Int? = nil, isSent: Bool = true) {
        self.code = code
        self.description = description
        self.limit = limit
        self.mayHaveArrived = isSent && code.mayFollowSending
    }

    /// The same failure, of a message that was never handed to a connection.
    var ofUnsent: PublishError { PublishError(self.code, self.description, limit: self.limit, isSent: false) }

    /// Whether the same message can succeed later.
    package var isRetryable: Bool {
        self.code != .tooLarge && self.code != .invalidQueue
    }

    /// Whether the broker as a whole (and not this message or its queue) is out of reach at the moment.
    package var isUnavailable: Bool {
        switch self.code {
        case .notConnected, .connectionLost, .channelClosed, .blocked, .inboxFull, .timedOut, .shuttingDown: true
        default: false
        }
    }

    static func tooLarge(limit: Int) -> PublishError {
        PublishError(
            .tooLarge, "the message is larger than the \(limit) bytes that the broker takes (its max_message_size)",
            limit: limit)
    }

    static func blocked(_ reason: String) -> PublishError {
        PublishError(.blocked, "the broker takes no messages at the moment (\(reason)); free memory or disk on it")
    }

    static let invalidQueue = PublishError(.invalidQueue, "a queue's name must have 1 to 255 bytes")
    static let inboxFull = PublishError(
        .inboxFull, "too many messages wait for the broker's confirmation; it is slower than its publishers")
    static let senderShareFull = PublishError(
        .senderShareFull, "as many messages of this guest wait for the broker as may of one")
    static let notSentInTime = PublishError(
        .timedOut, "the message waited too long for its turn to be sent to the broker", isSent: false)
    /// Of messages that were sent; of others ``ofUnsent``.
    static let shuttingDown = PublishError(.shuttingDown, "the publisher is shutting down")
    static let timedOut = PublishError(.timedOut, "the broker did not confirm the message in time")
    /// The message was sent before the alarm: the broker may publish it when the alarm ends.
    static func timedOut(duringAlarm reason: String) -> PublishError {
        PublishError(
            .timedOut,
            "the broker did not confirm the message in time, and takes none at the moment (\(reason)); free memory or disk "
                + "on it")
    }
    static let nacked = PublishError(.nacked, "the broker refused the message (basic.nack): the queue may be full")
}

extension PublishError.Code {
    /// Whether a message that was sent can fail so and reach its queue.
    fileprivate var mayFollowSending: Bool {
        switch self {
        case .notConnected, .blocked, .inboxFull, .senderShareFull, .accessRefused, .returned, .tooLarge, .invalidQueue:
            false
        default: true
        }
    }
}
