// SPDX-License-Identifier: Apache-2.0

public import Notifications

/// A signer of contexts for the control plane. With a signed context a guest can end the operation that it was given,
/// and no other.
public struct ContextSigner: Sendable {
    /// The default lifetime of a token: one day, which should exceed the longest operation.
    public static let defaultLifetime = Duration.seconds(86_400)
    /// The longest lifetime, in seconds: 31 days, which is more than conductors accept by default.
    package static let longestLifetime = 2_678_400

    private let key: SigningKey
    private let lifetime: Int

    /// Creates a signer.
    ///
    /// - Parameters:
    ///   - key: an Ed25519 private key, or a secret that the conductors have too.
    ///   - lifetime: how long a token is valid, 1 second to 31 days. A conductor adds its grace period, for outcomes
    ///     that waited in a guest.
    /// - Throws: ``SigningKeyError`` when the key can only check, or the lifetime is out of range.
    public init(key: SigningKey, lifetime: Duration = Self.defaultLifetime) throws(SigningKeyError) {
        guard key.canSign else {
            throw SigningKeyError(
                "\(key.kid) is a public key, which can only check signatures; configure the private key to sign")
        }
        guard (1...Int64(Self.longestLifetime)).contains(lifetime.components.seconds) else {
            throw SigningKeyError("\(key.kid) cannot sign for this lifetime; use 1 second to 31 days")
        }
        self.key = key
        self.lifetime = Int(lifetime.components.seconds)
    }

    /// Returns the context with a new token, which replaces any token it had. Fields that the token covers must not be
    /// changed afterwards.
    ///
    /// - Parameters:
    ///   - context: the context. The token covers its operation, request, tenant, user, client and payload, and the
    ///     published members of its request's context.
    ///   - instanceID: the instance whose guest is to end the operation; nil when unknown. Without it only the guest's
    ///     certificate restricts which guest can end the operation.
    /// - Throws: ``SigningKeyError`` when OpenSSL cannot sign, when conductors would reject one of the context's
    ///   identifiers as too long, or when the token would exceed 8192 bytes.
    public func sign(
        _ context: NotificationContext, instanceID: String? = nil
    ) throws(SigningKeyError) -> NotificationContext {
        do {
            try context.checkIdentifiers()
        } catch {
            throw SigningKeyError(
                "\(self.key.kid) cannot sign this context, because conductors would reject it: \(error)")
        }
        let now = NotificationTimestamp.now().microsecondsSinceEpoch / 1_000_000
        let claims = ContextClaims(context, instanceID: instanceID, issuedAt: Int(now), lifetime: self.lifetime)
        guard let token = CompactJWS.sign(JSONWriter.encode(.object(claims.json)), with: self.key) else {
            throw SigningKeyError("\(self.key.kid) could not sign: OpenSSL failed, probably because memory ran out")
        }
        guard token.utf8.count <= CompactJWS.maximumBytes else {
            throw SigningKeyError(
                "\(self.key.kid) cannot sign this context, because its names are too long: a token has at most "
                    + "\(CompactJWS.maximumBytes) bytes")
        }
        var signed = context
        signed.token = token
        return signed
    }
}
