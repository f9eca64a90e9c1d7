// SPDX-License-Identifier: Apache-2.0

/// An operation's outcome, as a guest sends it to the conductor and stores it until the conductor has answered.
package struct OutcomeReport: Sendable, Hashable {
    /// The context that the operation ran under.
    package var context: NotificationContext
    /// The operation's outcome.
    package var outcome: OperationOutcome
    /// The outcome's identifier, which stays the same each time the outcome is sent.
    package var messageID: MessageID
    /// The time at which the operation ended.
    package var timestamp: NotificationTimestamp

    /// Creates the report of an outcome, by default with a random identifier and the current time.
    package init(
        context: NotificationContext, outcome: OperationOutcome, messageID: MessageID = MessageID(),
        timestamp: NotificationTimestamp = .now()
    ) {
        self.context = context
        self.outcome = outcome
        self.messageID = messageID
        self.timestamp = timestamp
    }
}

/// The JSON form: the parameters of `notify_end` and `notify_exc_info`.
extension OutcomeReport {
    /// Reads a report. When `etype`, `value` and `trace` are all null or missing, the outcome is a success, as in
    /// `sys.exc_info()`. A missing `message_id` is generated, and a missing `timestamp` is the current time.
    ///
    /// - Parameters:
    ///   - object: the parameters.
    ///   - path: the object's path in its message, for errors.
    /// - Throws: ``FieldError`` naming the first field that is missing or of the wrong type; of the context, all such
    ///   fields.
    package init(_ object: JSONObject, path: String) throws(FieldError) {
        let fields = JSONFields(object, path: path)
        self.context = try NotificationContext(fields.object("context"), path: fields.path(of: "context"))
        let payload = try fields.optionalObject("payload") ?? JSONObject()
        if let exception = try ExceptionInfo(fields) {
            self.outcome = .error(exception, payload: payload)
        } else {
            self.outcome = .end(payload: payload)
        }
        if let text = try fields.optionalString("message_id") {
            guard let messageID = MessageID(text) else { throw fields.error("message_id", "must be a UUID") }
            // A guest could predict the id of a control plane's event and use it first: consumers drop the second
            // message.
            guard !messageID.isNamed else {
                throw fields.error("message_id", "must be a random UUID, not one of version 8")
            }
            self.messageID = messageID
        } else {
            self.messageID = MessageID()
        }
        if let text = try fields.optionalString("timestamp") {
            guard let timestamp = NotificationTimestamp(text) else {
                throw fields.error(
                    "timestamp",
                    "must be a time (RFC 3339) such as 2015-06-28 05:54:57.725572, not \(text.excerpt)")
            }
            self.timestamp = timestamp
        } else {
            self.timestamp = .now()
        }
    }

    /// The report's JSON form.
    package var json: JSONObject {
        var object = JSONObject()
        object.append("context", .object(self.context.json))
        if case .error(let exception, _) = self.outcome {
            object.append("etype", .string(exception.etype))
            object.append("value", .string(exception.value))
            object.append("trace", .array(exception.trace.map { .string($0) }))
        }
        object.append("payload", .object(self.outcome.payload))
        object.append("message_id", .string(self.messageID.description))
        object.append("timestamp", .string(self.timestamp.description))
        return object
    }
}

extension ExceptionInfo {
    /// Reads `etype`, `value` and `trace` from a message's parameters; nil when none of them is present.
    fileprivate init?(_ fields: JSONFields) throws(FieldError) {
        let value = try fields.optionalString("value")
        let trace: [String]
        switch fields.value("trace") {
        case nil: trace = []
        case .string(let text)?: trace = text.isEmpty ? [] : [text]
        case .array(let elements)?:
            var lines: [String] = []
            for element in elements {
                guard case .string(let line) = element else {
                    throw fields.mismatch("trace", "a list of strings only", element)
                }
                lines.append(line)
            }
            trace = lines
        case let other?: throw fields.mismatch("trace", "a string or a list of strings", other)
        }
        guard let etype = try fields.optionalString("etype") else {
            guard value == nil, trace.isEmpty else {
                throw fields.error("etype", "is missing, although value or trace describes an error")
            }
            return nil
        }
        guard !etype.isEmpty else { throw fields.error("etype", "must not be empty") }
        self.init(etype: etype, value: value ?? "", trace: trace)
    }
}
