/// The service that publishes on a guest's behalf: what it says of itself in the events.
package struct NotificationOrigin: Sendable, Hashable {
    /// `<service>.<host>`, such as `conductor.control-1`.
    package var publisherID: String
    /// The kind of service: `conductor`.
    package var serverType: String
    /// Its address as the guest reached it, `ip:port`.
    package var serverIP: String

    /// An origin of these values.
    package init(publisherID: String, serverType: String, serverIP: String) {
        self.publisherID = publisherID
        self.serverType = serverType
        self.serverIP = serverIP
    }
}

extension NotificationMessage {
    /// The notification that an operation ended.
    ///
    /// The payload holds the base fields, the event's own fields, and what identifies the operation's subject; what
    /// the table does not declare is left out. `server_type` and `server_ip` are the publisher's own, whatever the
    /// context says.
    ///
    /// - Parameters:
    ///   - outcome: how it ended.
    ///   - context: the context it ran under.
    ///   - operation: the operation's definition.
    ///   - catalogue: the catalogue that defines it.
    ///   - origin: who publishes.
    ///   - messageID: the outcome's identifier.
    ///   - timestamp: when it ended.
    /// - Throws: ``FieldError`` naming a required field that is missing, or one of the wrong type.
    package init(
        of outcome: OperationOutcome, context: NotificationContext, operation: OperationDefinition,
        catalogue: Catalogue, origin: NotificationOrigin, messageID: MessageID, timestamp: NotificationTimestamp
    ) throws(FieldError) {
        let phase: OperationPhase
        switch outcome {
        case .end: phase = .end
        case .error: phase = .error
        }
        var payload = JSONObject()
        payload.reserveCapacity(16)
        payload.append("tenant_id", .string(context.tenantID))
        if let userID = context.userID { payload.append("user_id", .string(userID)) }
        payload.append("client_ip", .string(context.clientIP))
        payload.append("server_ip", .string(origin.serverIP))
        payload.append("server_type", .string(origin.serverType))
        payload.append("request_id", .string(context.requestID))

        let declared = operation.fields(of: phase)
        for field in declared {
            // What the operation said of itself at its end is newer than what it was asked to do.
            let (value, path) =
                outcome.payload[field.name].map { ($0, "payload") }
                ?? (context.payload[field.name], "context.payload")
            guard let value else {
                guard field.isRequired else { continue }
                throw FieldError(field: "payload.\(field.name)", problem: "is missing")
            }
            try field.check(value, path: path)
            payload[field.name] = value
        }
        for field in operation.start
        where Catalogue.identifiers.contains(field.name) && payload[field.name] == nil {
            guard let value = context.payload[field.name] else { continue }
            try field.check(value, path: "context.payload")
            payload[field.name] = value
        }
        if case .error(let exception, _) = outcome {
            payload["message"] = .string(exception.value)
            payload["exception"] = .array(exception.formatted.map { .string($0) })
        }

        self.init(
            messageID: messageID, publisherID: origin.publisherID,
            eventType: catalogue.eventType(operation, phase), priority: phase == .error ? .error : .info,
            payload: payload, timestamp: timestamp, context: context.requestContext)
    }
}

extension FieldDefinition {
    /// - Throws: ``FieldError`` when the field may not hold the value.
    fileprivate func check(_ value: JSONValue, path: String) throws(FieldError) {
        guard self.accepts(value) else {
            throw FieldError(field: "\(path).\(self.name)", problem: "must be \(self.expectation), not \(value.kind)")
        }
    }
}

extension NotificationContext {
    /// What is published as `_context_…`, under the names that oslo.context gives them.
    fileprivate var requestContext: JSONObject {
        var object = JSONObject()
        object.append("request_id", .string(self.requestID))
        object.append("user", self.userID.map { .string($0) } ?? .null)
        object.append("project_id", .string(self.tenantID))
        object.append("project", .string(self.tenantID))
        return object
    }
}
