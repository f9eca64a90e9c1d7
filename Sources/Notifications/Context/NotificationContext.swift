/// What the control plane attaches to an asynchronous call, so that whoever ends the operation can say so.
///
/// It travels from the control plane to the guest with the call, and from the guest to the conductor with the outcome.
/// The notion is that of Trove's ceilometer-integration spec, 1.2.9.
public struct NotificationContext: Sendable, Hashable {
    /// The operation's key in the catalogue, such as `database_create`.
    public var operation: String
    /// The identifier that ties start, end and error together.
    public var requestID: String
    /// The tenant (project) on whose behalf the operation runs.
    public var tenantID: String
    /// The user who asked for it, when known.
    public var userID: String?
    /// The address of the client that called the API, with or without its port.
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

    /// A context of these values.
    public init(
        operation: String, requestID: String, tenantID: String, userID: String? = nil, clientIP: String,
        serverIP: String? = nil, serverType: String? = nil, payload: JSONObject = JSONObject(),
        traceparent: String? = nil, token: String? = nil
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
    }

    /// Reads a context from its JSON form; members that are not a context's are passed over.
    ///
    /// - Parameters:
    ///   - object: the JSON object.
    ///   - path: where the object stands in its message, for errors.
    /// - Throws: ``FieldError`` naming the first field that is missing or of another type.
    public init(_ object: JSONObject, path: String = "") throws(FieldError) {
        let fields = JSONFields(object, path: path)
        self.operation = try fields.string("operation")
        self.requestID = try fields.string("request_id")
        self.tenantID = try fields.string("tenant_id")
        self.userID = try fields.optionalString("user_id")
        self.clientIP = try fields.string("client_ip")
        self.serverIP = try fields.optionalString("server_ip")
        self.serverType = try fields.optionalString("server_type")
        self.payload = try fields.optionalObject("payload") ?? JSONObject()
        self.traceparent = try fields.optionalString("traceparent")
        self.token = try fields.optionalString("token")
    }

    /// Reads a context from JSON text.
    ///
    /// - Throws: ``JSONError`` when the text is not JSON, ``FieldError`` when it is not a context.
    public init(json text: [UInt8]) throws {
        guard case .object(let object) = try JSONValue(json: text) else {
            throw FieldError(field: "context", problem: "must be a JSON object")
        }
        try self.init(object)
    }

    /// The context's JSON form, without the members it has no value for.
    public var json: JSONObject {
        var object = JSONObject()
        object.append("operation", .string(self.operation))
        object.append("request_id", .string(self.requestID))
        object.append("tenant_id", .string(self.tenantID))
        if let userID { object.append("user_id", .string(userID)) }
        object.append("client_ip", .string(self.clientIP))
        if let serverIP { object.append("server_ip", .string(serverIP)) }
        if let serverType { object.append("server_type", .string(serverType)) }
        object.append("payload", .object(self.payload))
        if let traceparent { object.append("traceparent", .string(traceparent)) }
        if let token { object.append("token", .string(token)) }
        return object
    }
}
