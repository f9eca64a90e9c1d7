package import Notifications

/// What is known of a REST request that changes something: who asked, from where, under which identifier.
public struct APIRequest: Sendable, Hashable {
    /// The identifier that ties start, end and error together.
    public var requestID: String
    /// The tenant (project) on whose behalf the request is.
    public var tenantID: String
    /// The user who asks, when known.
    public var userID: String?
    /// The address of the client, with or without its port.
    public var clientIP: String
    /// A W3C trace context, when the control plane traces.
    public var traceparent: String?
    /// The instance whose guest will do the work: a signed context lets this one's guest tell the outcome and no other. By
    /// default the payload's `instance_id`.
    public var instanceID: String?

    /// - Parameters:
    ///   - requestID: the request's identifier; without one it gets a new one.
    ///   - tenantID: the tenant (project).
    ///   - userID: the user, when known.
    ///   - clientIP: the address of the client.
    ///   - traceparent: a W3C trace context.
    ///   - instanceID: the instance whose guest will do the work.
    public init(
        requestID: String = APIRequest.newRequestID(), tenantID: String, userID: String? = nil, clientIP: String,
        traceparent: String? = nil, instanceID: String? = nil
    ) {
        self.requestID = requestID
        self.tenantID = tenantID
        self.userID = userID
        self.clientIP = clientIP
        self.traceparent = traceparent
        self.instanceID = instanceID
    }

    /// A new identifier of a request in oslo.context's form, `req-` and a random UUID.
    public static func newRequestID() -> String { "req-\(MessageID())" }
}

extension NotificationContext {
    /// The context of an operation that a request asks for.
    package init(operation: String, request: APIRequest, origin: NotificationOrigin, payload: JSONObject) {
        self.init(
            operation: operation, requestID: request.requestID, tenantID: request.tenantID, userID: request.userID,
            clientIP: request.clientIP, serverIP: origin.serverIP, serverType: origin.serverType, payload: payload,
            traceparent: request.traceparent)
    }
}
