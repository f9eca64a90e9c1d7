// SPDX-License-Identifier: Apache-2.0

extension DriverError {
    /// The reason why a broker did not confirm a message.
    package enum BrokerCause: Sendable, Hashable {
        /// There is no connection to a broker at the moment; nothing was sent.
        case notConnected
        /// The connection ended before the broker confirmed, or before the message was sent.
        case connectionLost
        /// The broker closed the channel, because of another message or a deleted exchange, before it confirmed.
        case channelClosed
        /// The broker has a memory or disk alarm and accepts no messages; nothing was sent.
        case blocked
        /// More messages wait for the broker than the configuration allows; nothing was sent.
        case inboxFull
        /// The sender has reached its quota of the messages that may wait for the broker; nothing was sent.
        case senderQuotaExceeded
        /// The broker did not confirm within the publish timeout, or the message could not be sent early enough for
        /// that.
        case timedOut
        /// The publisher is stopping or has stopped.
        case shuttingDown
        /// The broker rejects the declaration or binding of the queue or its exchange; nothing was sent.
        case declarationRejected
        /// The broker had no queue for it. The queue is declared and bound again before the next message to it.
        case returned
        /// The broker rejected the message (`basic.nack`): the queue is full, or its node failed.
        case nacked
        /// The body is larger than the broker accepts, see ``DriverError/limitBytes``.
        case tooLarge
        /// The queue's name is empty or longer than 255 bytes.
        case invalidQueue

        /// The kind of failure.
        var code: Code {
            switch self {
            case .tooLarge: .tooLarge
            case .senderQuotaExceeded: .rateLimited
            case .invalidQueue: .rejected
            case .notConnected, .connectionLost, .channelClosed, .blocked, .inboxFull, .timedOut, .shuttingDown,
                .declarationRejected, .returned, .nacked:
                .unavailable
            }
        }

        /// Whether a message that was sent can fail for this cause and still reach its queue.
        var canOccurAfterSending: Bool {
            switch self {
            case .connectionLost, .channelClosed, .timedOut, .shuttingDown, .nacked: true
            case .notConnected, .blocked, .inboxFull, .senderQuotaExceeded, .declarationRejected, .returned, .tooLarge,
                .invalidQueue:
                false
            }
        }
    }
}
