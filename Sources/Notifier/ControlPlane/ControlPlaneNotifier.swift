@_exported public import ContextSigning
public import Logging
public import Notifications

/// What a control plane's service notifies with: a ``Notifier``, who the service is, and the events that there are.
///
/// ```swift
/// let notification = try await api.start("backup_create", request: request, payload: payload)
/// try await notification.handOn { context in try await guest.call("create_backup", context: context.json) }
/// ```
///
/// A value that can be copied; the notifier beneath must run.
public struct ControlPlaneNotifier: Sendable {
    /// The operations and events that can be told.
    public let catalogues: Catalogues
    private let sender: EventSender
    private let signer: ContextSigner?
    private let logger: Logger

    /// - Parameters:
    ///   - notifier: where the events go.
    ///   - origin: who the service is: `publisher_id` `<service>.<host>`, `server_type` `api` or `task`, its address.
    ///   - catalogues: the operations and events that can be told.
    ///   - patience: how long an event is offered to a driver that cannot take it now, such as a broker's whose
    ///     connection is being made, before an error is thrown.
    ///   - signer: signs the contexts that are handed on to guests; nil where conductors do not ask for signatures.
    ///   - logger: told at level debug of fields that were left out, and of outcomes that could not be told while the
    ///     operation's own error was on its way.
    public init(
        _ notifier: Notifier, origin: NotificationOrigin, catalogues: Catalogues = .builtIn,
        patience: Duration = .seconds(5), signer: ContextSigner? = nil, logger: Logger
    ) {
        self.catalogues = catalogues
        self.sender = EventSender(notifier: notifier, origin: origin, patience: patience, logger: logger)
        self.signer = signer
        self.logger = logger
    }

    /// Who the service is.
    public var origin: NotificationOrigin { self.sender.origin }

    // MARK: Operations

    /// Makes the notification object of an operation, and tells its start: what an API does before it acts.
    ///
    /// - Parameters:
    ///   - operation: the operation's key, such as `instance_restart`; another service's with the service in front.
    ///   - request: the request that asks for it.
    ///   - payload: the start fields. Others are left out (``APINotification/undeclaredFields``).
    /// - Returns: the object, once every driver vouches for the start.
    /// - Throws: ``UnknownEventError``; ``FieldError`` naming a field that is missing or mistyped; ``StartError``, which
    ///   has the object, when a driver does not vouch for the start.
    public func start(
        _ operation: String, request: APIRequest, payload: JSONObject = JSONObject()
    ) async throws -> APINotification {
        let notification = try self.notification(operation, request: request, payload: payload)
        try await self.start([notification])
        return notification
    }

    /// The same for a request that names several databases, users or grants, where the documents want an event for each
    /// (``OperationDefinition/oneForEach``): that field may be a list.
    ///
    /// All are checked before the first start is told. They are told in order, and the first that a driver does not
    /// vouch for ends it.
    ///
    /// - Returns: an object for each, in the order of the list; one for any other operation.
    /// - Throws: as `start`; a list that is empty is a ``FieldError``.
    public func startEach(
        _ operation: String, request: APIRequest, payload: JSONObject = JSONObject()
    ) async throws -> [APINotification] {
        let notifications = try self.notifications(operation, request: request, payload: payload)
        try await self.start(notifications)
        return notifications
    }

    /// Makes the notification object of an operation and tells nothing yet.
    ///
    /// - Throws: ``UnknownEventError``; ``FieldError`` naming a field that is missing or mistyped, or one that names
    ///   several where the documents want an event for each.
    public func notification(
        _ operation: String, request: APIRequest, payload: JSONObject = JSONObject()
    ) throws -> APINotification {
        let notifications = try self.notifications(operation, request: request, payload: payload)
        guard notifications.count == 1 else {
            let field = try self.operation(operation).definition.oneForEach ?? ""
            throw FieldError(
                field: "payload.\(field)",
                problem: "names \(notifications.count), each of which is an operation of its own: use startEach")
        }
        return notifications[0]
    }

    /// Makes the notification objects of an operation, as ``startEach(_:request:payload:)`` does, and tells nothing yet.
    ///
    /// - Throws: ``UnknownEventError``; ``FieldError`` naming a field that is missing or mistyped; ``SigningKeyError`` when
    ///   a context cannot be signed.
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

    /// The notification object of a context that another service has made and told the start of: what a task manager
    /// makes of the context that the API handed on.
    ///
    /// A context that was signed stays as it is, since another signature would let its operation be ended twice.
    ///
    /// - Throws: ``UnknownEventError``; ``SigningKeyError`` when the context cannot be signed.
    public func notification(resuming context: NotificationContext) throws -> APINotification {
        try APINotification(
            operation: self.operation(context.operation), context: context,
            signature: self.signer.map { .init(signer: $0, instanceID: nil) }, sender: self.sender, isStarted: true)
    }

    /// Tells an operation's start, runs it, and tells its end when the closure returns, or its error when it throws.
    ///
    /// Inside, ``APINotification/set(_:to:)`` adds end fields, and ``APINotification/handOn()`` leaves the outcome to
    /// somebody else: neither end nor error is told then.
    ///
    /// - Parameters:
    ///   - operation: the operation's key.
    ///   - request: the request that asks for it.
    ///   - payload: the start fields.
    ///   - isolation: the actor that the operation runs on: the caller's.
    ///   - fileID: where the caller stands; part of an error's trace.
    ///   - line: where the caller stands; part of an error's trace.
    ///   - body: the operation.
    /// - Returns: what the operation returned.
    /// - Throws: as `start`, before the operation ran; what the operation threw (that its error could not be told is
    ///   logged); ``UntoldEndError`` when it succeeded and its end could not be told.
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
            await self.tell(error, of: notification, fileID: fileID, line: line)
            throw error
        }
        do {
            try await notification.endUnlessDecided()
        } catch {
            throw UntoldEndError(notification: notification, cause: error)
        }
        return success
    }

    private func tell(_ error: any Error, of notification: APINotification, fileID: String, line: Int) async {
        guard notification.isOpen else { return }
        do {
            try await notification.error(error, fileID: fileID, line: line)
        } catch let failure {
            // The operation's own error is what its caller must see.
            self.logger.error(
                "The error of an operation could not be told",
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

    /// Tells an event, and returns when every driver vouches for it: one that stands alone, such as
    /// `trove.instance.exists`, or an operation's with its base fields in the payload.
    ///
    /// - Parameters:
    ///   - eventType: the event.
    ///   - payload: its fields. Others are left out, and named in what is returned.
    ///   - messageID: the event's identifier; who sends the event again after an error gives the same one.
    ///   - timestamp: when it happened.
    /// - Returns: what was sent, or that the event is switched off and nothing was.
    /// - Throws: ``UnknownEventError``; ``FieldError`` naming a field that is missing or mistyped; ``DriverError``.
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

/// What became of an event.
public struct NotifiedEvent: Sendable, Hashable {
    /// Its identifier.
    public let messageID: MessageID
    /// Whether it was sent; false for an event that an operator has switched off.
    public let isPublished: Bool
    /// The names of fields that were given and that the event does not declare: they were left out.
    public let undeclaredFields: [String]
}
