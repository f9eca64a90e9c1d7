// SPDX-License-Identifier: Apache-2.0

/// The context that the control plane attaches to an asynchronous call, so that the party that ends the operation can
/// report its outcome.
///
/// It travels from the control plane to the guest with the call, and from the guest to the conductor with the outcome.
/// The concept is that of Trove's ceilometer-integration spec, 1.2.9. Real Trove's own contexts can be read as well.
public struct NotificationContext: Sendable, Hashable {
    /// The operation's key in the catalogue, such as `database_create`.
    public var operation: String
    /// The identifier that ties start, end and error together.
    public var requestID: String
    /// The tenant (project) on whose behalf the operation runs.
    public var tenantID: String
    /// The user who requested the operation, when known.
    public var userID: String?
    /// The address of the client that called the API, with or without its port. Empty, and published as null, where the
    /// control plane does not know it, such as Trove behind a Unix socket.
    public var clientIP: String
    /// The address of the service that made the context. The conductor publishes its own instead.
    public var serverIP: String?
    /// The kind of the service that made the context (`api`, `task`). The conductor publishes its own instead.
    public var serverType: String?
    /// The fields of the start event.
    public var payload: JSONObject
    /// A W3C trace context, when the control plane uses tracing.
    public var traceparent: String?
    /// The control plane's signature over the context, when it signs contexts.
    public var token: String?
    var keptRequestContext: JSONObject?

    /// Further members of the request's context: keys of oslo.context's `RequestContext.to_dict()` and of
    /// `TroveContext`'s, published as `_context_…` as oslo.messaging does.
    ///
    /// Setting it keeps the 20 known keys only. Values that are neither scalars nor lists of texts become null, and so
    /// do numbers beyond the range of a double and an `is_admin` that is not a boolean. `auth_token` and
    /// `service_catalog` always become null: a context holds no credentials.
    public var requestContext: JSONObject? {
        get { self.keptRequestContext }
        set { self.keptRequestContext = newValue.map(RequestContext.kept) }
    }

    /// Creates a context with these values.
    public init(
        operation: String, requestID: String, tenantID: String, userID: String? = nil, clientIP: String,
        serverIP: String? = nil, serverType: String? = nil, payload: JSONObject = JSONObject(),
        traceparent: String? = nil, token: String? = nil, requestContext: JSONObject? = nil
    ) {
        self.operation = operation
        self.requestID = requestID
        self.tenantID = tenantID
        self.userID = userID
        self.clientIP = clientIP
        self.serverIP = serverIP
        self.serverType = serverType
        self.payload = payload
        self.traceparent = traceparent
        self.token = token
        self.requestContext = requestContext
    }

    /// Reads a context from its JSON form, or from real Trove's: `TroveContext.to_dict()` with a `trove_notification`.
    /// Unknown members are ignored.
    ///
    /// - Parameters:
    ///   - object: the JSON object.
    ///   - path: the object's path in its message, for errors.
    /// - Throws: ``FieldError`` naming the fields that are missing or of the wrong type.
    public init(_ object: JSONObject, path: String = "") throws(FieldError) {
        let fields = JSONFields(object, path: path)
        if fields.value("operation") == nil, let notification = try fields.optionalObject(Self.troveMember) {
            try self.init(
                trove: fields, notification: JSONFields(notification, path: fields.path(of: Self.troveMember)))
            return
        }
        let requestContext = try fields.optionalObject("request_context")
        if let requestContext {
            try RequestContext.check(requestContext, path: FieldError.join(path, "request_context"))
        }
        do throws(FieldError) {
            self.init(
                operation: try fields.string("operation"), requestID: try fields.string("request_id"),
                tenantID: try fields.string("tenant_id"), userID: try fields.optionalString("user_id"),
                clientIP: try fields.nullableString("client_ip"), serverIP: try fields.optionalString("server_ip"),
                serverType: try fields.optionalString("server_type"),
                payload: try fields.optionalObject("payload") ?? JSONObject(),
                traceparent: try fields.optionalString("traceparent"), token: try fields.optionalString("token"),
                requestContext: requestContext)
        } catch {
            throw FieldError(Self.errors(in: fields)) ?? error
        }
    }

    /// Returns the errors of all members of a context.
    private static func errors(in fields: JSONFields) -> [FieldError] {
        var errors: [FieldError] = []
        func check(_ read: () throws(FieldError) -> Void) {
            do throws(FieldError) { try read() } catch { errors.append(error) }
        }
        for name in ["operation", "request_id", "tenant_id"] {
            check { () throws(FieldError) in _ = try fields.string(name) }
        }
        check { () throws(FieldError) in _ = try fields.nullableString("client_ip") }
        for name in ["user_id", "server_ip", "server_type", "traceparent", "token"] {
            check { () throws(FieldError) in _ = try fields.optionalString(name) }
        }
        check { () throws(FieldError) in _ = try fields.optionalObject("payload") }
        return errors
    }

    /// Reads a context from JSON text.
    ///
    /// - Throws: ``JSONError`` when the text is not JSON, ``FieldError`` when it is not a context.
    public init(json text: [UInt8]) throws { try self.init(Self.object(json: text)) }

    /// Reads a context from JSON text that may also be a context without a notification: that of a control plane that
    /// requests none, such as plain Trove before it had notifications. Such a context is recognized by the keys that
    /// oslo.context gives every context, so that a context of this project with a misspelt member is still an error.
    ///
    /// - Returns: nil when the context requests no notification.
    /// - Throws: ``JSONError`` when the text is not JSON, ``FieldError`` when it is not a context of either kind.
    public static func read(json text: [UInt8]) throws -> NotificationContext? {
        let object = try self.object(json: text)
        return self.isWithoutNotification(object) ? nil : try NotificationContext(object)
    }

    private static func object(json text: [UInt8]) throws -> JSONObject {
        guard case .object(let object) = try JSONValue(json: text) else {
            throw FieldError(field: "context", problem: "must be a JSON object")
        }
        return object
    }

    /// The client's address, or null where it is empty.
    var publishedClientIP: JSONValue { self.clientIP.isEmpty ? .null : .string(self.clientIP) }

    /// The context's JSON form, without the members that have no value.
    public var json: JSONObject {
        var object = JSONObject()
        object.append("operation", .string(self.operation))
        object.append("request_id", .string(self.requestID))
        object.append("tenant_id", .string(self.tenantID))
        if let userID { object.append("user_id", .string(userID)) }
        object.append("client_ip", self.publishedClientIP)
        if let serverIP { object.append("server_ip", .string(serverIP)) }
        if let serverType { object.append("server_type", .string(serverType)) }
        object.append("payload", .object(self.payload))
        if let traceparent { object.append("traceparent", .string(traceparent)) }
        if let token { object.append("token", .string(token)) }
        if let requestContext { object.append("request_context", .object(requestContext)) }
        return object
    }
}
