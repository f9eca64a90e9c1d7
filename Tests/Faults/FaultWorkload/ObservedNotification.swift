// SPDX-License-Identifier: Apache-2.0

import Notifications

/// A notification from a queue, reduced to the facts that the oracle checks.
package struct ObservedNotification: Sendable, Hashable {
    /// The outcome of the operation, according to the notification.
    package enum Outcome: Sendable, Hashable {
        case end
        /// The error that was planned.
        case plannedError
        /// The guest agent ended before the operation did.
        case interrupted
    }

    /// The operation that it reports.
    package let operation: PlannedOperation
    /// Its identifier.
    package let messageID: String
    /// The outcome that it reports.
    package let outcome: Outcome
    /// All its bytes except those of `_unique_id`.
    package let body: [UInt8]

    /// Reads a message's body.
    ///
    /// - Parameters:
    ///   - body: oslo's envelope.
    ///   - queue: the queue that the message was in; an error's queue ends with `.error`.
    /// - Throws: ``AlterationError`` if no operation of the bench results in this message.
    package init(body: [UInt8], queue: String) throws(AlterationError) {
        guard case .object(let envelope)? = try? JSONValue(json: body),
            case .string(let text)? = envelope["oslo.message"],
            case .object(var message)? = try? JSONValue(json: Array(text.utf8))
        else { throw AlterationError("a message is not oslo's: \(String(decoding: body.prefix(300), as: UTF8.self))") }
        guard case .object(let payload)? = message["payload"], case .string(let requestID)? = payload["request_id"],
            let operation = PlannedOperation(requestID: requestID), case .string(let messageID)? = message["message_id"]
        else { throw AlterationError("a message is of no operation of the bench: \(text.prefix(300))") }
        message["_unique_id"] = nil
        self.operation = operation
        self.messageID = messageID
        self.body = JSONWriter.encode(.object(message))
        for (name, value) in operation.expectedPayload where payload[name] != value {
            throw AlterationError("\(requestID): \(name) is \(payload[name].map { "\($0)" } ?? "missing")")
        }
        self.outcome = try Self.outcome(message, payload, operation)
        let isError = self.outcome != .end
        let expected: (queue: String, priority: JSONValue) = isError ? (".error", "ERROR") : (".info", "INFO")
        guard queue.hasSuffix(expected.queue), message["priority"] == expected.priority else {
            throw AlterationError("\(requestID): the outcome lay in \(queue)")
        }
    }

    private static func outcome(
        _ message: JSONObject, _ payload: JSONObject, _ operation: PlannedOperation
    ) throws(AlterationError) -> Outcome {
        switch message["event_type"] {
        case "dbaas.database_create.end"?:
            guard !operation.fails else {
                throw AlterationError("\(operation.requestID): an error was reported as an end")
            }
            return .end
        case "dbaas.database_create.error"?: break
        case let other:
            throw AlterationError("\(operation.requestID): event type \(other.map { "\($0)" } ?? "missing")")
        }
        let text = String(decoding: JSONWriter.encode(.object(payload)), as: UTF8.self)
        if text.contains("OperationInterrupted") { return .interrupted }
        guard operation.fails, text.contains(operation.etype), text.contains(operation.writtenValue) else {
            throw AlterationError("\(operation.requestID): another error than the planned one: \(text.prefix(400))")
        }
        return .plannedError
    }
}

/// The error for a message that does not result from its operation.
package struct AlterationError: Error, CustomStringConvertible {
    /// The difference, in a sentence.
    package let description: String

    init(_ description: String) { self.description = description }
}

extension PlannedOperation {
    /// The error's text as it is written in JSON, without its quotes.
    fileprivate var writtenValue: String {
        String(decoding: JSONWriter.encode(.string(self.value)).dropFirst().dropLast(), as: UTF8.self)
    }
}
