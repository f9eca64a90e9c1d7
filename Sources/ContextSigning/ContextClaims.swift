// SPDX-License-Identifier: Apache-2.0

package import Notifications

/// The claims of a token: facts about the operation that it was signed for (Docs/protocol.md lists the members).
package struct ContextClaims: Sendable {
    /// The signed operation's identifier (`jti`); nil when the signer set none.
    package var identifier: String?
    /// The time of signing, in seconds since 1970.
    package var issuedAt: Double
    /// The time of expiry, in seconds since 1970.
    package var expiresAt: Double
    /// The time before which the token is not valid, in seconds since 1970; nil when the signer set none.
    package var notBefore: Double?
    /// The operation's name, as in the context or with its service in front.
    package var operation: String
    /// The request's identifier.
    package var requestID: String
    /// The tenant.
    package var tenantID: String
    /// The user; nil when unknown.
    package var userID: String?
    /// The client's address; empty when unknown.
    package var clientIP: String
    /// The instance whose guest may end the operation; nil when it was unknown.
    package var instanceID: String?
    /// ``CanonicalJSON/digest(_:)`` of the payload.
    package var payloadDigest: String
    /// ``CanonicalJSON/digest(_:)`` of the published members of the request's context; nil when it has none.
    package var requestContextDigest: String?

    /// The members of a request's context that are published unchanged.
    package static let requestContextNames = [
        "system_scope", "domain", "user_domain", "project_domain", "is_admin", "global_request_id", "roles",
    ]
    private static let maximumDepth = 8
    /// The latest time accepted, in seconds since 1970: about the year 5138. No later time is plausible, and a `Double`
    /// has enough digits for it.
    private static let latest = 1e11

    /// Creates the claims of a context that is signed now.
    ///
    /// - Parameters:
    ///   - context: the context.
    ///   - instanceID: the instance whose guest may end the operation; nil when unknown.
    ///   - issuedAt: the present time, in whole seconds since 1970.
    ///   - lifetime: the token's lifetime, in seconds.
    package init(_ context: NotificationContext, instanceID: String?, issuedAt: Int, lifetime: Int) {
        self.identifier = MessageID().description
        self.issuedAt = Double(issuedAt)
        self.expiresAt = Double(issuedAt + lifetime)
        self.notBefore = nil
        self.operation = context.operation
        self.requestID = context.requestID
        self.tenantID = context.tenantID
        self.userID = context.userID
        self.clientIP = context.clientIP
        self.instanceID = instanceID
        self.payloadDigest = CanonicalJSON.digest(context.payload)
        self.requestContextDigest = Self.requestContextDigest(of: context)
    }

    /// Returns the digest of the published members of the context's request that are not null; nil when there are none.
    package static func requestContextDigest(of context: NotificationContext) -> String? {
        guard let request = context.requestContext else { return nil }
        var published = JSONObject()
        for name in self.requestContextNames {
            if let value = request[name], !value.isNull { published[name] = value }
        }
        return published.isEmpty ? nil : CanonicalJSON.digest(published)
    }

    /// Reads the claims of a token.
    ///
    /// - Parameter payload: the token's payload.
    /// - Throws: ``TokenError`` when the payload is no JSON object or is for another audience. Otherwise it names the
    ///   first claim that is missing, mistyped or empty.
    package init(_ payload: [UInt8]) throws(TokenError) {
        guard case .object(let object)? = try? JSONParser.parse(payload.span, maximumDepth: Self.maximumDepth) else {
            throw TokenError("holds claims that are no JSON object")
        }
        let fields = JSONFields(object)
        try Self.checkAudience(fields)
        do throws(FieldError) {
            self.identifier = try fields.optionalString("jti")
            self.issuedAt = try Self.time("iat", fields)
            self.expiresAt = try Self.time("exp", fields)
            self.notBefore = try fields.value("nbf") == nil ? nil : Self.time("nbf", fields)
            self.operation = try fields.string("operation")
            self.requestID = try fields.string("request_id")
            self.tenantID = try fields.string("tenant_id")
            self.userID = try fields.optionalString("user_id")
            self.clientIP = try fields.optionalString("client_ip") ?? ""
            self.instanceID = try fields.optionalString("instance_id")
            self.payloadDigest = try fields.string("payload_sha256")
            self.requestContextDigest = try fields.optionalString("request_context_sha256")
        } catch {
            throw TokenError("has a claim that cannot be used: \(error)")
        }
        guard self.identifier?.isEmpty != true, self.instanceID?.isEmpty != true else {
            throw TokenError("has an empty jti or instance_id; leave out what is not known")
        }
    }

    /// The claims as JSON.
    package var json: JSONObject {
        var object = JSONObject()
        if let identifier { object.append("jti", .string(identifier)) }
        object.append("iat", .number(JSONNumber(Int(self.issuedAt))))
        object.append("exp", .number(JSONNumber(Int(self.expiresAt))))
        object.append("operation", .string(self.operation))
        object.append("request_id", .string(self.requestID))
        object.append("tenant_id", .string(self.tenantID))
        if let userID { object.append("user_id", .string(userID)) }
        object.append("client_ip", self.clientIP.isEmpty ? .null : .string(self.clientIP))
        if let instanceID { object.append("instance_id", .string(instanceID)) }
        object.append("payload_sha256", .string(self.payloadDigest))
        if let requestContextDigest { object.append("request_context_sha256", .string(requestContextDigest)) }
        return object
    }

    /// Returns 32 bytes that identify the operation: a digest of its `jti`, request, operation and tenant, or without a
    /// `jti` of the whole payload. The `jti` stays the same when a control plane signs one operation twice.
    ///
    /// - Parameters:
    ///   - payload: the token's payload.
    ///   - operation: the operation's canonical name: the claim may have either of its names.
    package func fingerprint(of payload: [UInt8], operation: String) -> [UInt8] {
        guard let identifier else { return SHA256.digest(payload) }
        // Includes the request, the operation and the tenant, so that a signer that reuses identifiers blocks no
        // outcome of another operation.
        return SHA256.digest(
            JSONWriter.encode([
                .string(identifier), .string(self.requestID), .string(operation), .string(self.tenantID),
            ]))
    }

    /// Rejects a token for another audience (RFC 7519, 4.1.3).
    private static func checkAudience(_ fields: JSONFields) throws(TokenError) {
        let isForUs =
            switch fields.value("aud") {
            case nil: true
            case .string(let audience)?: audience.hasSameBytes(as: Self.audience)
            case .array(let audiences)?: audiences.contains { $0.string?.hasSameBytes(as: Self.audience) == true }
            default: false
            }
        guard isForUs else { throw TokenError("is for another audience (aud) than \(Self.audience)") }
    }

    /// The audience of tokens for conductors.
    private static let audience = "conductor"

    /// Reads a NumericDate (RFC 7519, 2).
    private static func time(_ name: String, _ fields: JSONFields) throws(FieldError) -> Double {
        guard let value = fields.value(name) else { throw fields.error(name, "is missing") }
        guard case .number(let number) = value else { throw fields.mismatch(name, "a number of seconds", value) }
        guard let seconds = Double(number.literal), (0...Self.latest).contains(seconds) else {
            throw fields.error(name, "is no time, in seconds since 1970")
        }
        return seconds
    }
}
