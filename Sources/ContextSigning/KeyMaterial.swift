import CConductorOpenSSL

/// What is behind a ``SigningKey``: a shared secret or an Ed25519 key, in OpenSSL's hands, and wiped when nobody needs it
/// any more.
// @unchecked: nothing changes after init, and OpenSSL counts references and locks what several threads share.
final class KeyMaterial: @unchecked Sendable {
    private enum Kind {
        /// Memory of our own, since an array's may be copied and only one of the copies wiped.
        case secret(UnsafeMutableBufferPointer<UInt8>)
        case ed25519(OpaquePointer, isPrivate: Bool)
    }

    private let kind: Kind
    /// The length of an Ed25519 signature.
    private static let ed25519Length = 64

    /// A secret that minter and verifier share.
    init(secret: [UInt8]) {
        let memory = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: secret.count)
        _ = memory.initialize(from: secret)
        self.kind = .secret(memory)
    }

    /// The Ed25519 key of a PEM text, private or public; nil when it holds none.
    init?(ed25519PEM text: [UInt8]) {
        defer { ERR_clear_error() }
        guard !text.isEmpty, let (key, isPrivate) = Self.read(text) else { return nil }
        guard EVP_PKEY_get_id(key) == NID_ED25519 else {
            EVP_PKEY_free(key)
            return nil
        }
        self.kind = .ed25519(key, isPrivate: isPrivate)
    }

    /// The Ed25519 key of its 32 bytes, as JWK's `d` (private) and `x` (public) hold them (RFC 8037, 2); nil for any
    /// other number of bytes.
    init?(ed25519 bytes: [UInt8], isPrivate: Bool) {
        defer { ERR_clear_error() }
        let make = isPrivate ? EVP_PKEY_new_raw_private_key : EVP_PKEY_new_raw_public_key
        guard bytes.count == 32, let key = make(NID_ED25519, nil, bytes, bytes.count) else { return nil }
        self.kind = .ed25519(key, isPrivate: isPrivate)
    }

    deinit {
        switch self.kind {
        case .ed25519(let key, _): EVP_PKEY_free(key)
        case .secret(let secret):
            OPENSSL_cleanse(secret.baseAddress, secret.count)
            secret.deallocate()
        }
    }

    /// Whether it can sign, and so must be seen by nobody.
    var canSign: Bool {
        switch self.kind {
        case .secret: true
        case .ed25519(_, let isPrivate): isPrivate
        }
    }

    /// Whether it is the same key, and can do the same. The time that it takes says nothing of where they differ.
    func isSame(as other: KeyMaterial) -> Bool {
        defer { ERR_clear_error() }
        switch (self.kind, other.kind) {
        case (.secret(let secret), .secret(let otherSecret)):
            return secret.count == otherSecret.count
                && CRYPTO_memcmp(secret.baseAddress, otherSecret.baseAddress, secret.count) == 0
        case (.ed25519(let key, let isPrivate), .ed25519(let otherKey, let isOtherPrivate)):
            return isPrivate == isOtherPrivate && EVP_PKEY_eq(key, otherKey) == 1
        default: return false
        }
    }

    /// The signature of these bytes; nil when the key cannot sign, or OpenSSL fails.
    func sign(_ bytes: [UInt8]) -> [UInt8]? {
        defer { ERR_clear_error() }
        switch self.kind {
        case .secret(let secret): return Self.hmac(secret, bytes)
        case .ed25519(let key, let isPrivate):
            guard isPrivate, let context = EVP_MD_CTX_new() else { return nil }
            defer { EVP_MD_CTX_free(context) }
            var signature = [UInt8](repeating: 0, count: Self.ed25519Length)
            var length = signature.count
            guard EVP_DigestSignInit(context, nil, nil, nil, key) == 1,
                EVP_DigestSign(context, &signature, &length, bytes, bytes.count) == 1, length == signature.count
            else { return nil }
            return signature
        }
    }

    /// Whether the signature is one of these bytes. The time that it takes says nothing of where it differs.
    func verify(_ signature: [UInt8], of bytes: [UInt8]) -> Bool {
        // What a failure leaves on this thread's error stack would be taken for a TLS connection's.
        defer { ERR_clear_error() }
        switch self.kind {
        case .secret(let secret):
            guard let expected = Self.hmac(secret, bytes), signature.count == expected.count else { return false }
            return CRYPTO_memcmp(signature, expected, expected.count) == 0
        case .ed25519(let key, _):
            guard signature.count == Self.ed25519Length, let context = EVP_MD_CTX_new() else { return false }
            defer { EVP_MD_CTX_free(context) }
            return EVP_DigestVerifyInit(context, nil, nil, nil, key) == 1
                && EVP_DigestVerify(context, signature, signature.count, bytes, bytes.count) == 1
        }
    }

    private static func hmac(_ secret: UnsafeMutableBufferPointer<UInt8>, _ bytes: [UInt8]) -> [UInt8]? {
        var code = [UInt8](repeating: 0, count: 32)
        var length: UInt32 = 0
        guard
            HMAC(EVP_sha256(), secret.baseAddress, Int32(secret.count), bytes, bytes.count, &code, &length) != nil,
            length == 32
        else { return nil }
        return code
    }

    private static func read(_ text: [UInt8]) -> (OpaquePointer, isPrivate: Bool)? {
        text.withUnsafeBytes { buffer in
            func bio() -> OpaquePointer? { BIO_new_mem_buf(buffer.baseAddress, Int32(buffer.count)) }
            let (first, second) = (bio(), bio())
            defer {
                BIO_free(first)
                BIO_free(second)
            }
            if let key = PEM_read_bio_PrivateKey(first, nil, conductor_no_passphrase, nil) { return (key, true) }
            return PEM_read_bio_PUBKEY(second, nil, conductor_no_passphrase, nil).map { ($0, false) }
        }
    }
}
