// SPDX-License-Identifier: Apache-2.0

package import ConductorRPC
package import ContextSigning
package import Notifications

/// A verifier of contexts: checks that the control plane has signed a context, for this operation and this guest.
package struct ContextVerifier: Sendable {
    /// The policy for the tokens in guests' contexts.
    package enum Policy: String, Sendable, Hashable, CaseIterable {
        /// Tokens are ignored.
        case off
        /// A context may come without a token; a wrong token is rejected.
        case accept
        /// A context without a token is rejected.
        case require
    }

    /// The policy and its bounds.
    package struct Configuration: Sendable {
        /// The policy for the tokens in guests' contexts.
        package var policy: Policy
        /// The maximum difference between the signers' clocks and the conductor's clock, in seconds.
        package var clockSkew = 60.0
        /// The time after a token's expiry during which it is still accepted, in seconds: outcomes wait in guests that
        /// reach no conductor.
        package var grace = 604_800.0
        /// The maximum time between a token's issue and its expiry, in seconds.
        package var maximumLifetime = 604_800.0
        /// The number of operations that are remembered because they were ended, or may have been.
        package var rememberedOperations = Self.defaultRememberedOperations

        /// The default number of remembered operations.
        package static let defaultRememberedOperations = 100_000

        /// Creates the defaults, with this policy.
        package init(policy: Policy) { self.policy = policy }
    }

    /// The policy and its bounds.
    package let configuration: Configuration
    private let keys: LiveSigningKeys

    /// - Parameters:
    ///   - keys: the keys whose signatures are accepted, as they are when a context is checked.
    ///   - configuration: the policy and its bounds.
    package init(keys: LiveSigningKeys, configuration: Configuration) {
        self.keys = keys
        self.configuration = configuration
    }

    /// Creates a verifier with keys that are never renewed.
    package init(keys: SigningKeySet, configuration: Configuration) {
        self.init(keys: LiveSigningKeys(keys), configuration: configuration)
    }

    /// Checks a report's token, and that the report's context is the signed one.
    ///
    /// - Parameters:
    ///   - report: the guest's report.
    ///   - operation: the operation that the report's context names.
    ///   - instance: the instance that the guest's certificate names, if it names one.
    ///   - now: the conductor's time.
    /// - Returns: the signed context; nil if tokens are ignored, or if there is no token and none is required. The
    ///   caller must pass the notification that it makes of the report to ``VerifiedContext/check(_:)``, and must
    ///   respect ``VerifiedContext/expiryError`` before it publishes.
    /// - Throws: ``RPCError/Code/notPermitted``, for the field `params.context.token`.
    package func verify(
        _ report: OutcomeReport, operation: Catalogues.Operation, instance: String? = nil,
        now: NotificationTimestamp = .now()
    ) throws(RPCError) -> VerifiedContext? {
        guard self.configuration.policy != .off else { return nil }
        guard let token = report.context.token else {
            guard self.configuration.policy == .accept else {
                throw .rejectedToken("is missing: this conductor accepts only contexts signed by the control plane")
            }
            return nil
        }
        do throws(TokenError) {
            let payload = try self.keys.current.payload(of: token)
            let claims = try ContextClaims(payload)
            let now = Double(now.microsecondsSinceEpoch) / 1e6
            try self.checkTimes(of: claims, now: now)
            try Self.compare(claims, with: report.context, operation)
            if let signed = claims.instanceID, let instance, !signed.hasSameBytes(as: instance) {
                throw TokenError("was signed for another instance than the guest's certificate names")
            }
            return VerifiedContext(
                context: report.context, operation: operation, phase: report.outcome.phase,
                instance: claims.instanceID ?? instance, issuedAt: claims.issuedAt,
                signed: SignedOperation(
                    SignedOperationID(claims.fingerprint(of: payload, operation: operation.canonicalName)),
                    usableUntil: self.end(of: claims)),
                isExpired: now >= Double(self.end(of: claims)))
        } catch {
            throw .rejectedToken(error.problem)
        }
    }

    private func checkTimes(of claims: ContextClaims, now: Double) throws(TokenError) {
        let (skew, lifetime) = (self.configuration.clockSkew, self.configuration.maximumLifetime)
        guard claims.issuedAt <= now + skew, claims.notBefore.map({ $0 <= now + skew }) ?? true else {
            throw TokenError("is not valid yet (iat, nbf); compare the clocks of its signer and this conductor")
        }
        guard claims.expiresAt >= claims.issuedAt, claims.expiresAt - claims.issuedAt <= lifetime else {
            throw TokenError("has a lifetime (from iat to exp) that is not between 0 and \(Int(lifetime)) seconds")
        }
    }

    /// Returns the time at which a token expires, grace and clock skew included, in seconds since 1970.
    private func end(of claims: ContextClaims) -> Int64 {
        let end = claims.expiresAt + self.configuration.clockSkew + self.configuration.grace
        return Int64(exactly: end.rounded(.up)) ?? .max
    }

    private static func compare(
        _ claims: ContextClaims, with context: NotificationContext, _ operation: Catalogues.Operation
    ) throws(TokenError) {
        func require(_ isSame: Bool, _ name: String) throws(TokenError) {
            guard isSame else { throw TokenError("was signed for another params.context.\(name)") }
        }
        try require(operation.names.contains(where: claims.operation.hasSameBytes), "operation")
        try require(claims.requestID.hasSameBytes(as: context.requestID), "request_id")
        try require(claims.tenantID.hasSameBytes(as: context.tenantID), "tenant_id")
        try require(Self.areSame(claims.userID, context.userID), "user_id")
        try require(claims.clientIP.hasSameBytes(as: context.clientIP), "client_ip")
        try require(claims.payloadDigest.hasSameBytes(as: CanonicalJSON.digest(context.payload)), "payload")
        try require(
            Self.areSame(claims.requestContextDigest, ContextClaims.requestContextDigest(of: context)),
            "request_context")
    }

    private static func areSame(_ left: String?, _ right: String?) -> Bool {
        switch (left, right) {
        case (nil, nil): true
        case (let left?, let right?): left.hasSameBytes(as: right)
        default: false
        }
    }
}

extension RPCError {
    /// Returns the permanent error for a rejected token, or for a report that its token does not cover.
    static func rejectedToken(_ problem: String) -> RPCError {
        RPCError(.notPermitted, "params.context.token \(problem)", field: "params.context.token")
    }
}
