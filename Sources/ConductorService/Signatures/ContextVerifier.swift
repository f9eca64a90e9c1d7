package import ConductorRPC
package import ContextSigning
package import Notifications

/// Checks that a context is one that the control plane has signed, for this operation and this guest.
package struct ContextVerifier: Sendable {
    /// What is demanded of guests.
    package enum Policy: String, Sendable, Hashable, CaseIterable {
        /// Tokens are not looked at.
        case off
        /// A context may come without a token; a token that is wrong is refused.
        case accept
        /// A context without a token is refused.
        case require
    }

    /// What is demanded, and within which bounds.
    package struct Configuration: Sendable {
        /// What is demanded of guests.
        package var policy: Policy
        /// How far the minters' clocks may be from this one, in seconds.
        package var clockSkew = 60.0
        /// How long after its expiry a token is still taken, in seconds: outcomes wait in guests that reach no conductor.
        package var grace = 604_800.0
        /// The longest time between a token's issue and its expiry, in seconds.
        package var maximumLifetime = 604_800.0
        /// How many operations that were ended are remembered.
        package var rememberedOperations = Self.defaultRememberedOperations

        /// How many operations that were ended are remembered unless told otherwise.
        package static let defaultRememberedOperations = 100_000

        /// The defaults, with this policy.
        package init(policy: Policy) { self.policy = policy }
    }

    /// What is demanded, and within which bounds.
    package let configuration: Configuration
    private let keys: LiveSigningKeys

    /// - Parameters:
    ///   - keys: whose signatures are taken, at each moment.
    ///   - configuration: what is demanded of guests.
    package init(keys: LiveSigningKeys, configuration: Configuration) {
        self.keys = keys
        self.configuration = configuration
    }

    /// The same with keys that are never renewed.
    package init(keys: SigningKeySet, configuration: Configuration) {
        self.init(keys: LiveSigningKeys(keys), configuration: configuration)
    }

    /// Checks a report's token, and that the report's context is the one that was signed.
    ///
    /// - Parameters:
    ///   - report: what the guest reports.
    ///   - operation: the operation that its context names.
    ///   - instance: the instance that the guest's certificate names, if it names one.
    ///   - now: the conductor's time.
    /// - Returns: what was signed; nil when nothing was and nothing need be. ``VerifiedContext/check(_:)`` is for the
    ///   notification that is made of the report, and ``VerifiedContext/expiry`` for whoever publishes it.
    /// - Throws: ``RPCError/Code/notPermitted``, for the field `params.context.token`.
    package func verify(
        _ report: OutcomeReport, operation: Catalogues.Operation, instance: String? = nil,
        now: NotificationTimestamp = .now()
    ) throws(RPCError) -> VerifiedContext? {
        guard self.configuration.policy != .off else { return nil }
        guard let token = report.context.token else {
            guard self.configuration.policy == .accept else {
                throw .refusedToken("is missing: this conductor takes contexts that the control plane has signed only")
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
                    SignedOperationID(claims.fingerprint(of: payload)), usableUntil: self.end(of: claims)),
                isExpired: now >= Double(self.end(of: claims)))
        } catch {
            throw .refusedToken(error.problem)
        }
    }

    private func checkTimes(of claims: ContextClaims, now: Double) throws(TokenError) {
        let (skew, lifetime) = (self.configuration.clockSkew, self.configuration.maximumLifetime)
        guard claims.issuedAt <= now + skew, claims.notBefore.map({ $0 <= now + skew }) ?? true else {
            throw TokenError("is not valid yet (iat, nbf); compare the clocks of its minter and this conductor")
        }
        guard claims.expiresAt >= claims.issuedAt, claims.expiresAt - claims.issuedAt <= lifetime else {
            throw TokenError("has a lifetime (from iat to exp) that is not between 0 and \(Int(lifetime)) seconds")
        }
    }

    /// When a token is not taken any more, in seconds since 1970.
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
    /// A token, or what was to be said under it, that is refused for good.
    static func refusedToken(_ problem: String) -> RPCError {
        RPCError(.notPermitted, "params.context.token \(problem)", field: "params.context.token")
    }
}
