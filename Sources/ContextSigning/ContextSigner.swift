public import Notifications

/// Signs contexts for the control plane, so that a guest can end the operations that it was given, and no others.
public struct ContextSigner: Sendable {
    /// How long a token is good for unless told otherwise: longer than the longest operation should take.
    public static let defaultLifetime = Duration.seconds(86_400)
    /// The longest lifetime, and more than conductors take unless told otherwise: 31 days.
    package static let longestLifetime = 2_678_400

    private let key: SigningKey
    private let lifetime: Int

    /// - Parameters:
    ///   - key: an Ed25519 private key, or a secret that the conductors have too.
    ///   - lifetime: how long a token is good for, 1 second to 31 days. A conductor adds its grace to it, for outcomes that
    ///     waited in a guest.
    /// - Throws: ``SigningKeyError`` when the key can only check, or the lifetime cannot be used.
    public init(key: SigningKey, lifetime: Duration = Self.defaultLifetime) throws(SigningKeyError) {
        guard key.canSign else {
            throw SigningKeyError("\(key.kid) is a public key, which can only check; name the private one to sign")
        }
        guard (1...Int64(Self.longestLifetime)).contains(lifetime.components.seconds) else {
            throw SigningKeyError("\(key.kid) cannot sign for a lifetime other than 1 second to 31 days")
        }
        self.key = key
        self.lifetime = Int(lifetime.components.seconds)
    }

    /// The context with a token in the place of any that it had. What the token covers must not be changed any more.
    ///
    /// - Parameters:
    ///   - context: the context: operation, request, tenant, user, client and payload are signed, and of its request what
    ///     is published.
    ///   - instanceID: the instance whose guest is to end the operation; nil where that is not known, and then the guest is
    ///     bound by its certificate only.
    /// - Throws: ``SigningKeyError`` when OpenSSL cannot sign, or the context's names are too long.
    public func sign(
        _ context: NotificationContext, instanceID: String? = nil
    ) throws(SigningKeyError) -> NotificationContext {
        do {
            try context.checkIdentifiers()
        } catch {
            throw SigningKeyError("\(self.key.kid) signs no context that conductors reject: \(error)")
        }
        let now = NotificationTimestamp.now().microsecondsSinceEpoch / 1_000_000
        let claims = ContextClaims(context, instanceID: instanceID, issuedAt: Int(now), lifetime: self.lifetime)
        guard let token = CompactJWS.sign(JSONWriter.encode(.object(claims.json)), with: self.key) else {
            throw SigningKeyError("\(self.key.kid) could not sign: OpenSSL failed, most likely for want of memory")
        }
        guard token.utf8.count <= CompactJWS.maximumBytes else {
            throw SigningKeyError(
                "\(self.key.kid) cannot sign a context whose names are so long: a token has at most "
                    + "\(CompactJWS.maximumBytes) bytes")
        }
        var signed = context
        signed.token = token
        return signed
    }
}
