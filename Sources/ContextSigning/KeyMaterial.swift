// SPDX-License-Identifier: Apache-2.0

import CConductorOpenSSL

/// The key behind a ``SigningKey``: a shared secret, or an Ed25519 key that OpenSSL holds. It is wiped when its last
/// reference is released.
// @unchecked: nothing changes after init. OpenSSL counts references and locks what several threads share.
final class KeyMaterial: @unchecked Sendable {
    private enum Kind {
        /// Memory that this object allocates: an array might be copied, and only one of the copies would be wiped.
        case secret(UnsafeMutableBufferPointer<UInt8>)
        case ed25519(OpaquePointer, isPrivate: Bool)
    }

    private let kind: Kind
    /// The length of an Ed25519 signature, in bytes.
    private static let ed25519Length = 64

    /// Creates a key of a secret that signer and verifier share.
    init(secret: [UInt8]) {
        let memory = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: secret.count)
        _ = memory.initialize(from: secret)
        self.kind = .secret(memory)
    }

    /// Reads an Ed25519 key, private or public, from PEM text; nil when the text holds none.
    init?(ed25519PEM text: [UInt8]) {
        defer { ERR_clear_error() }
        guard !text.isEmpty, let (key, isPrivate) = Self.read(text) else { return nil }
        guard EVP_PKEY_get_id(key) == NID_ED25519 else {
            EVP_PKEY_free(key)
            return nil
        }
        self.kind = .ed25519(key, isPrivate: isPrivate)
    }

    /// Creates an Ed25519 key of its 32 bytes, as a JWK's `d` (private) and `x` (public) hold them (RFC 8037, 2); nil
    /// for any other number of bytes.
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

    /// Whether the key can sign, and so must stay secret.
    var canSign: Bool {
        switch self.kind {
        case .secret: true
        case .ed25519(_, let isPrivate): isPrivate
        }
    }

    /// Whether the other is the same key with the same abilities. The duration of the check does not reveal where they
    /// differ.
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

    /// Returns the signature of the bytes; nil when the key cannot sign, or OpenSSL fails.
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

    /// Whether this is a signature of the bytes. The duration of the check does not reveal where it differs from the
    /// right one.
    func verify(_ signature: [UInt8], of bytes: [UInt8]) -> Bool {
        // Errors left on this thread's error stack would be attributed to a TLS connection.
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
