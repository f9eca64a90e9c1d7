// SPDX-License-Identifier: Apache-2.0

/// A notification with the fields that its catalogue declares, and the names of the fields that it does not declare.
package struct ValidatedNotification: Sendable, Hashable {
    /// The notification to publish.
    package let message: NotificationMessage
    /// The names of the given fields that the event does not declare. The message does not contain them.
    package let undeclaredFields: [String]
}

extension Catalogues.Operation {
    /// Returns the notification of an operation's outcome.
    ///
    /// The payload contains the base fields, the event's own fields, and the identifiers of the operation's subject.
    /// Fields that the catalogue does not declare are left out. `server_type` and `server_ip` are the publisher's own,
    /// whatever the context contains.
    ///
    /// - Parameters:
    ///   - outcome: the operation's outcome.
    ///   - context: the context that the operation ran under.
    ///   - origin: the publisher.
    ///   - messageID: the outcome's identifier.
    ///   - timestamp: the time at which the operation ended.
    /// - Throws: ``FieldError`` naming required fields that are missing and values of the wrong type, or an identifier
    ///   that is too long.
    package func notification(
        of outcome: OperationOutcome, context: NotificationContext, origin: NotificationOrigin,
        messageID: MessageID, timestamp: NotificationTimestamp
    ) throws(FieldError) -> ValidatedNotification {
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
        // Values from the operation's end are newer than those of its request, so they come first.
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
        return ValidatedNotification(
            message: NotificationMessage(
                messageID: messageID, publisherID: origin.publisherID, eventType: event.eventType,
                priority: event.priority, payload: payload.payload, timestamp: timestamp,
                context: context.publishedContext),
            undeclaredFields: undeclared)
    }

    /// Returns the notification of an operation's start, or nil for an operation that has no start event.
    ///
    /// - Parameters:
    ///   - context: the context that the operation will run under; its payload holds the start fields.
    ///   - origin: the publisher.
    ///   - messageID: the start's identifier.
    ///   - timestamp: the time at which the operation was requested.
    /// - Throws: ``FieldError`` naming required fields that are missing and values of the wrong type, or an identifier
    ///   that is too long.
    package func startNotification(
        context: NotificationContext, origin: NotificationOrigin, messageID: MessageID,
        timestamp: NotificationTimestamp
    ) throws(FieldError) -> ValidatedNotification? {
        try context.checkIdentifiers()
        guard let event = self.definition.start else { return nil }
        var payload = PayloadBuilder(base: self.catalogue.baseFields, context: context, origin: origin)
        try payload.take(event.fields, from: [PayloadSource(values: context.payload, path: "payload")])
        return ValidatedNotification(
            message: NotificationMessage(
                messageID: messageID, publisherID: origin.publisherID, eventType: event.eventType,
                priority: event.priority, payload: payload.payload, timestamp: timestamp,
                context: context.publishedContext),
            undeclaredFields: context.payload.members.map(\.name).filter { !event.declares($0) })
    }
}

extension Catalogues.Event {
    /// Returns a notification of this event. All its fields, including an operation's base fields, come from one
    /// object.
    ///
    /// - Parameters:
    ///   - values: the fields.
    ///   - publisherID: the publisher, as `<service>.<host>`.
    ///   - messageID: the notification's identifier.
    ///   - timestamp: the time of the event.
    ///   - context: the members published as `_context_…`. By default they come from an operation's base fields, and an
    ///     event without an operation has none.
    /// - Throws: ``FieldError`` naming required fields that are missing and values of the wrong type, or an identifier
    ///   that is too long.
    package func notification(
        values: JSONObject, publisherID: String, messageID: MessageID = MessageID(),
        timestamp: NotificationTimestamp = .now(), context: JSONObject? = nil
    ) throws(FieldError) -> ValidatedNotification {
        let fields = (self.operation == nil ? [] : self.catalogue.baseFields) + self.definition.fields
        // The outcome of an operation may also have the identifiers of its start.
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
        return ValidatedNotification(
            message: NotificationMessage(
                messageID: messageID, publisherID: publisherID, eventType: self.eventType,
                priority: self.definition.priority, payload: payload.payload, timestamp: timestamp,
                context: context ?? self.context(of: payload.payload)),
            undeclaredFields: values.members.map(\.name).filter { name in
                !(fields + identifiers).contains { $0.isNamed(name) }
            })
    }

    /// Returns the request's context that an operation's base fields describe.
    private func context(of payload: JSONObject) -> JSONObject {
        guard let operation, let requestID = payload["request_id"]?.string, let tenantID = payload["tenant_id"]?.string
        else { return JSONObject() }
        return NotificationContext(
            operation: operation.definition.key, requestID: requestID, tenantID: tenantID,
            userID: payload["user_id"]?.string, clientIP: ""
        ).publishedContext
    }
}
