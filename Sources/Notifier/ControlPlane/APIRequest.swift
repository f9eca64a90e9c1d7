// SPDX-License-Identifier: Apache-2.0

package import Notifications

/// The facts about a REST request that changes something: its user, client and identifiers.
public struct APIRequest: Sendable, Hashable {
    /// The identifier that links start, end and error.
    public var requestID: String
    /// The tenant (project) on whose behalf the request is made.
    public var tenantID: String
    /// The user who makes the request, when known.
    public var userID: String?
    /// The address of the client, with or without its port.
    public var clientIP: String
    /// A W3C trace context, if the control plane uses tracing.
    public var traceparent: String?
    /// The instance whose guest will do the work: with a signed context only the guest of this instance can report the
    /// outcome. By default the payload's `instance_id`.
    public var instanceID: String?

    /// Creates the description of a request.
    ///
    /// - Parameters:
    ///   - requestID: the request's identifier; by default a new one.
    ///   - tenantID: the tenant (project).
    ///   - userID: the user, when known.
    ///   - clientIP: the address of the client.
    ///   - traceparent: a W3C trace context.
    ///   - instanceID: the instance whose guest will do the work.
    public init(
        requestID: String? = nil, tenantID: String, userID: String? = nil, clientIP: String,
        traceparent: String? = nil, instanceID: String? = nil
    ) {
        self.requestID = requestID ?? Self.newRequestID()
        self.tenantID = tenantID
        self.userID = userID
        self.clientIP = clientIP
        self.traceparent = traceparent
        self.instanceID = instanceID
    }

    /// Returns a new request identifier in oslo.context's form, `req-` and a random UUID.
    package static func newRequestID() -> String { "req-\(MessageID())" }
}

extension NotificationContext {
    /// Creates the context of an operation that a request asks for.
    package init(operation: String, request: APIRequest, origin: NotificationOrigin, payload: JSONObject) {
        self.init(
            operation: operation, requestID: request.requestID, tenantID: request.tenantID, userID: request.userID,
            clientIP: request.clientIP, serverIP: origin.serverIP, serverType: origin.serverType, payload: payload,
            traceparent: request.traceparent)
    }
}
