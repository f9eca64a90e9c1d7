/// A notification as its catalogue declares it, and what did not fit in.
package struct CheckedNotification: Sendable, Hashable {
    /// What is published.
    package let message: NotificationMessage
    /// The names of fields that were given and that the event does not declare: they are left out.
    package let undeclaredFields: [String]
}

extension Catalogues.Operation {
    /// The notification that an operation ended.
    ///
    /// The payload holds the base fields, the event's own fields, and what identifies the operation's subject; what
    /// the catalogue does not declare is left out. `server_type` and `server_ip` are the publisher's own, whatever the
    /// context says.
    ///
    /// - Parameters:
    ///   - outcome: how it ended.
    ///   - context: the context it ran under.
    ///   - origin: who publishes.
    ///   - messageID: the outcome's identifier.
    ///   - timestamp: when it ended.
    /// - Throws: ``FieldError`` naming a required field that is missing, or one of the wrong type.
    package func notification(
        of outcome: OperationOutcome, context: NotificationContext, origin: NotificationOrigin,
        messageID: MessageID, timestamp: NotificationTimestamp
    ) throws(FieldError) -> CheckedNotification {
        try context.checkIdentifiers()
        let event: EventDefinition
        var given = outcome.payload
        switch outcome {
        case .end: event = self.definition.end
        case .error(let exception, _):
            event = self.definition.error
            given["message"] = .string(exception.value)
            given["exception"] = .array(exception.formatted.map { .string($0) })
        }
        var payload = PayloadBuilder(base: self.catalogue.baseFields, context: context, origin: origin)
        // What the operation said of itself at its end is newer than what it was asked to do.
        let sources = [
            PayloadSource(values: given, path: "payload"),
            PayloadSource(values: context.payload, path: "context.payload"),
        ]
        try payload.take(event.fields, from: sources)
        try payload.takeIfPresent(self.identifiers, from: sources)

        var undeclared: [String] = []
        for member in given.members
        where !event.declares(member.name) && !self.identifiers.contains(where: { $0.isNamed(member.name) }) {
            undeclared.append(member.name)
        }
        for member in context.payload.members where !self.definition.declares(member.name) {
            undeclared.append(member.name)
        }
        return CheckedNotification(
            message: NotificationMessage(
                messageID: messageID, publisherID: origin.publisherID, eventType: event.eventType,
                priority: event.priority, payload: payload.payload, timestamp: timestamp,
                context: context.publishedContext),
            undeclaredFields: undeclared)
    }

    /// The notification that an operation was asked for; nil for an operation that has no start event.
    ///
    /// - Parameters:
    ///   - context: the context it will run under; its payload holds the start fields.
    ///   - origin: who publishes.
    ///   - messageID: the start's identifier.
    ///   - timestamp: when it was asked for.
    /// - Throws: ``FieldError`` naming a required field that is missing, or one of the wrong type.
    package func startNotification(
        context: NotificationContext, origin: NotificationOrigin, messageID: MessageID,
        timestamp: NotificationTimestamp
    ) throws(FieldError) -> CheckedNotification? {
        try context.checkIdentifiers()
        guard let event = self.definition.start else { return nil }
        var payload = PayloadBuilder(base: self.catalogue.baseFields, context: context, origin: origin)
        try payload.take(event.fields, from: [PayloadSource(values: context.payload, path: "payload")])
        return CheckedNotification(
            message: NotificationMessage(
                messageID: messageID, publisherID: origin.publisherID, eventType: event.eventType,
                priority: event.priority, payload: payload.payload, timestamp: timestamp,
                context: context.publishedContext),
            undeclaredFields: context.payload.members.map(\.name).filter { !event.declares($0) })
    }
}

extension Catalogues.Event {
    /// A notification of this event with all its fields, an operation's base fields among them, in one object.
    ///
    /// - Parameters:
    ///   - values: the fields.
    ///   - publisherID: `<service>.<host>` of who publishes.
    ///   - messageID: the notification's identifier.
    ///   - timestamp: when it happened.
    ///   - context: what is published as `_context_…`; by default an operation's base fields say it, and an event that
    ///     stands alone has none.
    /// - Throws: ``FieldError`` naming a required field that is missing, or one of the wrong type.
    package func notification(
        values: JSONObject, publisherID: String, messageID: MessageID = MessageID(),
        timestamp: NotificationTimestamp = .now(), context: JSONObject? = nil
    ) throws(FieldError) -> CheckedNotification {
        let fields = (self.operation == nil ? [] : self.catalogue.baseFields) + self.definition.fields
        // The end of an operation can say more of its subject than it must.
        let identifiers = self.operation.map { self.catalogue.identifiers(of: $0.definition) } ?? []
        let sources = [PayloadSource(values: values, path: "payload")]
        var payload = PayloadBuilder()
        try payload.take(fields, from: sources)
        try payload.takeIfPresent(identifiers, from: sources)
        if self.operation != nil {
            for field in self.catalogue.baseFields {
                guard case .string(let text)? = payload.payload[field.name] else { continue }
                try NotificationContext.checkIdentifier(text, field.name, "payload")
            }
        }
        return CheckedNotification(
            message: NotificationMessage(
                messageID: messageID, publisherID: publisherID, eventType: self.eventType,
                priority: self.definition.priority, payload: payload.payload, timestamp: timestamp,
                context: context ?? self.context(of: payload.payload)),
            undeclaredFields: values.members.map(\.name).filter { name in
                !(fields + identifiers).contains { $0.isNamed(name) }
            })
    }

    /// What an operation's base fields say of its request, in the form of a request's context.
    private func context(of payload: JSONObject) -> JSONObject {
        guard let operation, let requestID = payload["request_id"]?.string, let tenantID = payload["tenant_id"]?.string
        else { return JSONObject() }
        return NotificationContext(
            operation: operation.definition.key, requestID: requestID, tenantID: tenantID,
            userID: payload["user_id"]?.string, clientIP: ""
        ).publishedContext
    }
}
