// SPDX-License-Identifier: Apache-2.0

public import ContextSigning
import DriverErrors
public import Logging
public import Notifications

/// Publishes the notifications of a control plane's service through a ``Notifier``, with the service's identity and the
/// available catalogues.
///
/// ```swift
/// let notification = try await api.start("backup_create", request: request, payload: payload)
/// try await notification.handOff { context in try await guest.call("create_backup", context: context.json) }
/// ```
///
/// This is a value that can be copied; the notifier that it uses must run.
public struct ControlPlaneNotifier: Sendable {
    /// The operations and events that can be published.
    package let catalogues: Catalogues
    private let sender: EventSender
    private let signer: ContextSigner?
    private let logger: Logger

    /// Creates a notifier for one service.
    ///
    /// - Parameters:
    ///   - notifier: sends the events.
    ///   - origin: the service's identity: `publisher_id` `<service>.<host>`, `server_type` `api` or `task`, its
    ///     address.
    ///   - catalogues: the operations and events that can be published.
    ///   - retryTimeout: how long a driver that cannot accept an event now is retried before an error is thrown; an
    ///     example is a broker to which the connection is not established yet.
    ///   - signer: signs the contexts that are handed off to guests; nil where conductors do not require signatures.
    ///   - logger: logs fields that were left out (at level debug), and operations' errors that could not be published
    ///     (at level error), since the caller gets the operation's own error then.
    public init(
        _ notifier: Notifier, origin: NotificationOrigin, catalogues: Catalogues = .builtIn,
        retryTimeout: Duration = .seconds(5), signer: ContextSigner? = nil, logger: Logger
    ) {
        self.catalogues = catalogues
        self.sender = EventSender(notifier: notifier, origin: origin, retryTimeout: retryTimeout, logger: logger)
        self.signer = signer
        self.logger = logger
    }

    /// The identity of the service.
    package var origin: NotificationOrigin { self.sender.origin }

    // MARK: Operations

    /// Creates the notification object of an operation and publishes its start: the first step of an API before it
    /// acts.
    ///
    /// - Parameters:
    ///   - operation: the operation's key, such as `instance_restart`; for another service's operation with the service
    ///     in front.
    ///   - request: the request for the operation.
    ///   - payload: the start fields. Undeclared fields are left out (``APINotification/undeclaredFields``).
    /// - Returns: the object, once every driver has confirmed the start.
    /// - Throws: ``UnknownEventError``; `FieldError` naming a field that is missing or mistyped; `SigningKeyError`
    ///   when the context cannot be signed; ``StartError``, which holds the object, when a driver does not confirm the
    ///   start.
    public func start(
        _ operation: String, request: APIRequest, payload: JSONObject = JSONObject()
    ) async throws -> APINotification {
        let notification = try self.notification(operation, request: request, payload: payload)
        try await self.start([notification])
        return notification
    }

    /// Creates the notification objects of a request that names several databases, users or grants, and publishes their
    /// starts, for operations where the specification requires an event for each name
    /// (`OperationDefinition.oneForEach`). That field may be a list.
    ///
    /// All are checked before the first start is published. The starts are published in order; the first one that a
    /// driver does not confirm stops the method.
    ///
    /// - Returns: an object for each name, in the order of the list; one object for any other operation.
    /// - Throws: the errors of `start`, and `FieldError` for an empty list.
    public func startEach(
        _ operation: String, request: APIRequest, payload: JSONObject = JSONObject()
    ) async throws -> [APINotification] {
        let notifications = try self.notifications(operation, request: request, payload: payload)
        try await self.start(notifications)
        return notifications
    }

    /// Creates the notification object of an operation and publishes nothing.
    ///
    /// - Throws: ``UnknownEventError``; `FieldError` naming a field that is missing or mistyped, or a field that
    ///   names several objects where the specification requires an event for each; `SigningKeyError` when the context
    ///   cannot be signed.
    public func notification(
        _ operation: String, request: APIRequest, payload: JSONObject = JSONObject()
    ) throws -> APINotification {
        let notifications = try self.notifications(operation, request: request, payload: payload)
        guard notifications.count == 1 else {
            let field = try self.operation(operation).definition.oneForEach ?? ""
            throw FieldError(
                field: "payload.\(field)",
                problem: "names \(notifications.count) values, each of them a separate operation: call startEach")
        }
        return notifications[0]
    }

    /// Creates the notification objects of an operation, as ``startEach(_:request:payload:)`` does, and publishes
    /// nothing.
    ///
    /// - Throws: ``UnknownEventError``; `FieldError` naming a field that is missing or mistyped; `SigningKeyError`
    ///   when a context cannot be signed.
    public func notifications(
        _ operation: String, request: APIRequest, payload: JSONObject = JSONObject()
    ) throws -> [APINotification] {
        let found = try self.operation(operation)
        return try found.definition.payloads(of: payload).map { payload in
            try APINotification(
                operation: found,
                context: NotificationContext(
                    operation: operation, request: request, origin: self.origin, payload: payload),
                signature: self.signer.map { .init(signer: $0, instanceID: request.instanceID) },
                sender: self.sender, isStarted: false)
        }
    }

    /// Creates the notification object of a context whose start another service has published, as a task manager does
    /// with a context from the API.
    ///
    /// A signed context stays unchanged, since a second signature would allow a second outcome of its operation.
    ///
    /// - Throws: ``UnknownEventError``; `FieldError` naming an identifier that is too long; `SigningKeyError` when
    ///   the context cannot be signed.
    public func notification(resuming context: NotificationContext) throws -> APINotification {
        try APINotification(
            operation: self.operation(context.operation), context: context,
            signature: self.signer.map { .init(signer: $0, instanceID: nil) }, sender: self.sender, isStarted: true)
    }

    /// Publishes an operation's start, runs the operation, and publishes its end when the closure returns, or its error
    /// when the closure throws.
    ///
    /// Inside the closure, ``APINotification/set(_:to:)`` adds end fields, and ``APINotification/handOff()`` hands off
    /// the outcome to another party: neither end nor error is then published here.
    ///
    /// - Parameters:
    ///   - operation: the operation's key.
    ///   - request: the request for the operation.
    ///   - payload: the start fields.
    ///   - isolation: the actor that the operation runs on: the caller's.
    ///   - fileID: the caller's file; part of an error's trace.
    ///   - line: the caller's line; part of an error's trace.
    ///   - body: the operation.
    /// - Returns: the operation's result.
    /// - Throws: the errors of `start`, before the operation ran; the operation's error (if this error could not be
    ///   published, that is logged); ``UnpublishedEndError`` when the operation succeeded and its end could not be
    ///   published.
    @discardableResult
    public func withNotification<Success>(
        _ operation: String, request: APIRequest, payload: JSONObject = JSONObject(),
        isolation: isolated (any Actor)? = #isolation, fileID: String = #fileID, line: Int = #line,
        _ body: (APINotification) async throws -> Success
    ) async throws -> Success {
        let notification = try await self.start(operation, request: request, payload: payload)
        let success: Success
        do {
            success = try await body(notification)
        } catch {
            await self.publishError(error, of: notification, fileID: fileID, line: line)
            throw error
        }
        do {
            try await notification.endUnlessDecided()
        } catch {
            throw UnpublishedEndError(notification: notification, cause: error)
        }
        return success
    }

    private func publishError(_ error: any Error, of notification: APINotification, fileID: String, line: Int) async {
        guard notification.isOpen else { return }
        do {
            try await notification.error(error, fileID: fileID, line: line)
        } catch let failure {
            // The caller must see the operation's own error.
            self.logger.error(
                "Failed to publish the error of an operation",
                metadata: [
                    "operation": "\(notification.context.operation)",
                    "request_id": "\(notification.context.requestID)",
                    "message_id": "\(notification.outcomeMessageID)", "error": "\(failure)",
                ])
        }
    }

    private func operation(_ name: String) throws(UnknownEventError) -> Catalogues.Operation {
        guard let operation = self.catalogues.operation(name) else {
            throw UnknownEventError(name, isOperation: true)
        }
        return operation
    }

    private func start(_ notifications: [APINotification]) async throws {
        for (index, notification) in notifications.enumerated() {
            do {
                try await notification.start()
            } catch let error as DriverError {
                throw StartError(
                    started: Array(notifications[..<index]), notStarted: Array(notifications[index...]), cause: error)
            }
        }
    }

    // MARK: Events

    /// Publishes an event, and returns once every driver has confirmed it. The event is independent, such as
    /// `trove.instance.exists`, or belongs to an operation and has the base fields in its payload.
    ///
    /// - Parameters:
    ///   - eventType: the event.
    ///   - payload: the event's fields. Undeclared fields are left out, and named in the result.
    ///   - messageID: the event's identifier; to send the event again after an error, pass the same one.
    ///   - timestamp: the time of the event.
    /// - Returns: the facts of the sent event; nothing is sent when the event is switched off.
    /// - Throws: ``UnknownEventError``; `FieldError` naming a field that is missing or mistyped; `DriverError`.
    @discardableResult
    public func notify(
        _ eventType: String, payload: JSONObject, messageID: MessageID = MessageID(),
        timestamp: NotificationTimestamp = .now()
    ) async throws -> NotifiedEvent {
        guard let event = self.catalogues.event(eventType) else {
            throw UnknownEventError(eventType, isOperation: false)
        }
        let checked = try event.notification(
            values: payload, publisherID: self.origin.publisherID, messageID: messageID, timestamp: timestamp)
        self.sender.logUndeclared(checked.undeclaredFields, of: eventType)
        if event.isPublished { try await self.sender.send(checked.message) }
        return NotifiedEvent(
            messageID: messageID, isPublished: event.isPublished, undeclaredFields: checked.undeclaredFields)
    }
}

/// The result of publishing an event.
public struct NotifiedEvent: Sendable, Hashable {
    /// The event's identifier.
    public let messageID: MessageID
    /// Whether the event was sent; false for an event that an operator has switched off.
    public let isPublished: Bool
    /// The names of given fields that the event does not declare; they were left out.
    public let undeclaredFields: [String]
}
