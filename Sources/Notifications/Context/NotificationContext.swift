/// What the control plane attaches to an asynchronous call, so that whoever ends the operation can say so.
///
/// It travels from the control plane to the guest with the call, and from the guest to the conductor with the outcome.
/// The notion is that of Trove's ceilometer-integration spec, 1.2.9. Real Trove's own contexts are read as well.
public struct NotificationContext: Sendable, Hashable {
    /// The operation's key in the catalogue, such as `database_create`.
    public var operation: String
    /// The identifier that ties start, end and error together.
    public var requestID: String
    /// The tenant (project) on whose behalf the operation runs.
    public var tenantID: String
    /// The user who asked for it, when known.
    public var userID: String?
    /// The address of the client that called the API, with or without its port. Empty, published as null, where the
    /// control plane does not know it: Trove behind a Unix socket.
    public var clientIP: String
    /// The address of the service that made the context. The conductor publishes its own instead.
    public var serverIP: String?
    /// The kind of the service that made the context (`api`, `task`). The conductor publishes its own instead.
    public var serverType: String?
    /// The fields of the start event.
    public var payload: JSONObject
    /// A W3C trace context, when the control plane traces.
    public var traceparent: String?
    /// The control plane's signature over the context, when it signs.
    public var token: String?
    var keptRequestContext: JSONObject?

    /// What is known of the request besides: keys of oslo.context's `RequestContext.to_dict()` and `TroveContext`'s,
    /// published as `_context_…` the way oslo.messaging does.
    ///
    /// Of what is set only the 20 known keys are kept, values that are neither scalars nor lists of texts become null, as does
    /// a number that no double holds and an `is_admin` that is no boolean, and so do `auth_token` and `service_catalog`, always: a context holds no credentials.
    public var requestContext: JSONObject? {
        get { self.keptRequestContext }
        set { self.keptRequestContext = newValue.map(RequestContext.kept) }
    }

    /// A context of these values.
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
    /// Members that are not a context's are passed over.
    ///
    /// - Parameters:
    ///   - object: the JSON object.
    ///   - path: where the object stands in its message, for errors.
    /// - Throws: ``FieldError`` naming the fields that are missing or of another type.
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

    /// All that is wrong with the members of a context.
    private static func errors(in fields: JSONFields) -> [FieldError] {
        var errors: [FieldError] = []
        func look(_ read: () throws(FieldError) -> Void) {
            do throws(FieldError) { try read() } catch { errors.append(error) }
        }
        for name in ["operation", "request_id", "tenant_id"] {
            look { () throws(FieldError) in _ = try fields.string(name) }
        }
        look { () throws(FieldError) in _ = try fields.nullableString("client_ip") }
        for name in ["user_id", "server_ip", "server_type", "traceparent", "token"] {
            look { () throws(FieldError) in _ = try fields.optionalString(name) }
        }
        look { () throws(FieldError) in _ = try fields.optionalObject("payload") }
        return errors
    }

    /// Reads a context from JSON text.
    ///
    /// - Throws: ``JSONError`` when the text is not JSON, ``FieldError`` when it is not a context.
    public init(json text: [UInt8]) throws { try self.init(Self.object(json: text)) }

    /// Reads a context from JSON text that may as well be a context without a notification: one of a control plane that
    /// does not ask for any, as plain Trove before it had notifications. It is known by the keys that oslo.context
    /// gives every context, so that a context of ours with a misspelt member is still an error.
    ///
    /// - Returns: nil when nothing is to be notified.
    /// - Throws: ``JSONError`` when the text is not JSON, ``FieldError`` when it is no context of either kind.
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

    /// The client's address, or null.
    var publishedClientIP: JSONValue { self.clientIP.isEmpty ? .null : .string(self.clientIP) }

    /// The context's JSON form, without the members it has no value for.
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
