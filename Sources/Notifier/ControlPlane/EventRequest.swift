// SPDX-License-Identifier: Apache-2.0

package import Notifications

/// A script's request to publish an event, with the event's name and its fields: all in one object, or an operation's
/// context and an object with the rest.
package struct EventRequest: Sendable {
    /// The event type.
    package var eventType: String
    /// The context of the event's operation; it has the base fields and the start fields.
    package var context: NotificationContext?
    /// The fields: without a context all of them, with a context those of the end or error.
    package var payload: JSONObject?
    /// The `publisher_id`; by default the kind of service (`taskmanager` for an independent event), a dot and the host.
    package var publisherID: String?
    /// The kind of service. It overrides the context's and yields to the payload's; if none has it, it is `api`.
    package var serverType: String?
    /// The service's address. It overrides the context's and yields to the payload's.
    package var serverIP: String?
    /// The host in the default `publisher_id`.
    package var host: String
    /// The time of the event.
    package var timestamp: NotificationTimestamp
    /// The events' identifiers, in order; new ones are created when the list is empty.
    package var messageIDs: [MessageID]

    /// One event that was checked and can be sent.
    package struct Checked: Sendable {
        /// The message to send.
        package let message: NotificationMessage
        /// The names of the fields that were left out.
        package let undeclaredFields: [String]
        /// Whether the event is published; false when an operator has switched it off.
        package let isPublished: Bool
    }

    /// Creates a request for this event type and host.
    package init(
        eventType: String, context: NotificationContext? = nil, payload: JSONObject? = nil, publisherID: String? = nil,
        serverType: String? = nil, serverIP: String? = nil, host: String, timestamp: NotificationTimestamp = .now(),
        messageIDs: [MessageID] = []
    ) {
        self.eventType = eventType
        self.context = context
        self.payload = payload
        self.publisherID = publisherID
        self.serverType = serverType
        self.serverIP = serverIP
        self.host = host
        self.timestamp = timestamp
        self.messageIDs = messageIDs
    }

    /// Checks the fields and returns the events, one for each name where the specification requires that.
    ///
    /// - Throws: ``UnknownEventError``; ``FieldError`` naming each field that is missing or mistyped.
    package func events(in catalogues: Catalogues) throws -> [Checked] {
        guard let event = catalogues.event(self.eventType) else {
            throw UnknownEventError(self.eventType, isOperation: false)
        }
        let parts: [Part]
        switch (event.operation, self.context) {
        case (nil, nil): parts = [Part(payload: try self.requiredPayload())]
        case (nil, .some):
            throw FieldError(
                field: "context", problem: "is not allowed: \(self.eventType) has no context; leave the context out")
        case ((let operation, _)?, nil):
            parts = try operation.payloads(of: try self.requiredPayload()).map { Part(payload: $0) }
        case ((let operation, let phase)?, let context?):
            parts = try self.parts(of: operation, phase, context, in: catalogues)
        }
        guard self.messageIDs.isEmpty || self.messageIDs.count == parts.count else {
            throw FieldError(
                field: "message-id",
                problem:
                    "is given \(self.messageIDs.count) times for \(parts.count) events: give one for each event, or none"
            )
        }
        return try parts.enumerated().map { index, part in
            let messageID = self.messageIDs.isEmpty ? MessageID() : self.messageIDs[index]
            let checked =
                if let context = part.context {
                    try self.notification(event, context, part.payload, messageID, catalogues)
                } else {
                    try self.notification(event, part.payload, messageID)
                }
            return Checked(
                message: checked.message, undeclaredFields: checked.undeclaredFields, isPublished: event.isPublished)
        }
    }

    /// The input of one event.
    private struct Part {
        var context: NotificationContext?
        var payload: JSONObject
    }

    private func requiredPayload() throws(FieldError) -> JSONObject {
        guard let payload = self.payload else { throw FieldError(field: "payload", problem: "is missing") }
        return payload
    }

    // MARK: Without a context

    private func notification(
        _ event: Catalogues.Event, _ payload: JSONObject, _ messageID: MessageID
    ) throws(FieldError) -> ValidatedNotification {
        var values = payload
        guard event.operation != nil else {
            // The specification requires that the task manager publishes independent events.
            return try event.notification(
                values: values, publisherID: self.publisherID ?? "taskmanager.\(self.host)", messageID: messageID,
                timestamp: self.timestamp)
        }
        if values["server_type"] == nil { values["server_type"] = .string(self.serverType ?? "api") }
        if let serverIP, values["server_ip"] == nil { values["server_ip"] = .string(serverIP) }
        let serverType = values["server_type"]?.string ?? "api"
        return try event.notification(
            values: values, publisherID: self.publisherID ?? "\(serverType).\(self.host)", messageID: messageID,
            timestamp: self.timestamp)
    }

    // MARK: With a context

    private func parts(
        of operation: OperationDefinition, _ phase: OperationPhase, _ context: NotificationContext,
        in catalogues: Catalogues
    ) throws -> [Part] {
        guard let own = catalogues.operation(context.operation) else {
            throw UnknownEventError(context.operation, isOperation: true)
        }
        // The key alone does not decide: two services may have operations with the same key.
        guard own.definition == operation else {
            throw FieldError(
                field: "context.operation",
                problem: "is \(own.definition.key), but \(self.eventType) is not an event of that operation")
        }
        guard phase != .start || self.payload == nil else {
            throw FieldError(
                field: "payload",
                problem: "is not allowed: the context contains the start fields; leave the payload out")
        }
        return try operation.payloads(of: context.payload, path: "context.payload").map { start in
            var single = context
            single.payload = start
            return Part(context: single, payload: self.payload ?? JSONObject())
        }
    }

    private func notification(
        _ event: Catalogues.Event, _ context: NotificationContext, _ payload: JSONObject, _ messageID: MessageID,
        _ catalogues: Catalogues
    ) throws -> ValidatedNotification {
        guard let operation = catalogues.operation(context.operation), let phase = event.operation?.phase else {
            throw UnknownEventError(context.operation, isOperation: true)
        }
        let serverType = self.serverType ?? context.serverType ?? "api"
        let serverIP = self.serverIP ?? context.serverIP
        let origin = NotificationOrigin(
            publisherID: self.publisherID ?? "\(serverType).\(self.host)", serverType: serverType,
            serverIP: serverIP ?? "")
        var errors: [FieldError] = []
        if serverIP == nil {
            errors.append(
                FieldError(field: "server_ip", problem: "is missing: set it in the context or with --server-ip"))
        }
        // Everything is checked, so that a script's author sees all problems at once.
        var checked: ValidatedNotification?
        do throws(FieldError) {
            if phase == .start {
                checked = try operation.startNotification(
                    context: context, origin: origin, messageID: messageID, timestamp: self.timestamp)
            } else {
                let (outcome, problem) =
                    phase == .end ? (.end(payload: payload), nil) : Self.error(payload)
                if let problem { errors.append(problem) }
                checked = try operation.notification(
                    of: outcome, context: context, origin: origin, messageID: messageID, timestamp: self.timestamp)
            }
        } catch {
            errors.append(error)
        }
        if let error = FieldError(errors) { throw error }
        guard let checked else { throw UnknownEventError(self.eventType, isOperation: false) }
        return checked
    }

    /// Returns the outcome from an error event's own fields (`message`, and `exception` if the script has a trace), and
    /// the problem with these fields, if any.
    private static func error(_ payload: JSONObject) -> (OperationOutcome, FieldError?) {
        var rest = payload
        rest["message"] = nil
        rest["exception"] = nil
        do throws(FieldError) {
            return (.error(try self.exception(payload), payload: rest), nil)
        } catch {
            return (.error(ExceptionInfo(etype: "", value: ""), payload: rest), error)
        }
    }

    private static func exception(_ payload: JSONObject) throws(FieldError) -> ExceptionInfo {
        let fields = JSONFields(payload, path: "payload")
        // The text of an error may be empty.
        guard let message = try fields.optionalString("message") else { throw fields.error("message", "is missing") }
        let trace: [String]
        switch fields.value("exception") {
        case nil: trace = [message]
        case .string(let text)?: trace = [text]
        case .array(let elements)? where elements.allSatisfy({ $0.string != nil }):
            trace = elements.compactMap(\.string)
        case let other?: throw fields.mismatch("exception", "a string or a list of strings", other)
        }
        // The trace already ends with the error's type, or there is no trace: no type is added.
        return ExceptionInfo(etype: "", value: message, trace: trace.isEmpty ? [message] : trace)
    }
}
