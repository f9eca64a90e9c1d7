// SPDX-License-Identifier: Apache-2.0

import Notifications
import SecureFiles

/// A signature algorithm. The raw value is the JWS `alg`.
public enum SigningAlgorithm: String, Sendable, Hashable, CaseIterable {
    /// HMAC with SHA-256 (RFC 7518, 3.2): one shared secret, with which every verifier could sign too.
    case hs256 = "HS256"
    /// Ed25519 (RFC 8037, 3.1): the control plane has the private key, conductors have the public one.
    case edDSA = "EdDSA"
}

/// A key that signs or checks contexts.
///
/// The algorithm belongs to the key; a token never chooses it. The description and the mirror of a key show only its
/// name and algorithm.
public struct SigningKey: Sendable {
    /// The key's name, which a token carries as `kid`: 1 to 128 ASCII letters, digits, `.`, `_` and `-`.
    package let kid: String
    /// The algorithm.
    package let algorithm: SigningAlgorithm
    private let material: KeyMaterial

    /// The shortest secret, in bytes: an HMAC key must not be shorter than the digest (RFC 7518, 3.2).
    static let shortestSecret = 32
    /// The longest secret, in bytes; no real secret is longer.
    private static let longestSecret = 4096
    /// The most bytes that are read of a file, in case of a wrong one; no key is longer.
    private static let longestFile = 65_536

    /// Creates a key of a secret for HS256.
    ///
    /// - Parameters:
    ///   - kid: the key's name.
    ///   - secret: 32 to 4096 random bytes; a password that a person made up is not random.
    /// - Throws: ``SigningKeyError`` when the name or the secret is not valid, or the secret has the form of a key or
    ///   certificate file.
    public init(kid: String, secret: [UInt8]) throws(SigningKeyError) {
        guard (Self.shortestSecret...Self.longestSecret).contains(secret.count) else {
            throw SigningKeyError(
                "is a secret of \(secret.count) bytes, and HS256 needs \(Self.shortestSecret) to \(Self.longestSecret); "
                    + "make one with `openssl rand -base64 48`")
        }
        // In a known attack (algorithm confusion) the secret is a public key, which everyone has.
        if let form = KeyFileFormat(of: secret) {
            throw SigningKeyError(
                "is \(form.rawValue), which cannot be a secret for HS256; use it with EdDSA if it is an Ed25519 key in PEM, or make a secret"
            )
        }
        try self.init(kid: kid, algorithm: .hs256, material: KeyMaterial(secret: secret))
    }

    /// Creates an Ed25519 key.
    ///
    /// - Parameters:
    ///   - kid: the key's name.
    ///   - ed25519PEM: the private key (PKCS #8), which can sign and check, or the public key, which can only check.
    /// - Throws: ``SigningKeyError`` when the name or the key is not valid.
    public init(kid: String, ed25519PEM text: String) throws(SigningKeyError) {
        try self.init(kid: kid, ed25519PEM: Array(text.utf8))
    }

    private init(kid: String, ed25519PEM text: [UInt8]) throws(SigningKeyError) {
        guard let material = KeyMaterial(ed25519PEM: text) else {
            throw SigningKeyError(
                "holds no Ed25519 key in PEM without a passphrase; make one with `openssl genpkey -algorithm ed25519`")
        }
        try self.init(kid: kid, algorithm: .edDSA, material: material)
    }

    /// Creates an Ed25519 key of its 32 bytes, as in a JWK.
    package init(kid: String, ed25519 bytes: [UInt8], isPrivate: Bool) throws(SigningKeyError) {
        guard let material = KeyMaterial(ed25519: bytes, isPrivate: isPrivate) else {
            throw SigningKeyError("is not an Ed25519 key of 32 bytes")
        }
        try self.init(kid: kid, algorithm: .edDSA, material: material)
    }

    /// Reads a key from a file: for EdDSA a PEM file, for HS256 the secret itself, without trailing line ends.
    ///
    /// - Parameters:
    ///   - kid: the key's name.
    ///   - algorithm: the key's algorithm.
    ///   - path: the file. Its owner must be root or this program's user, and only the owner may write it. If the key
    ///     can sign, other users must not be able to read it; its group may read it only when root owns it.
    /// - Throws: ``SigningKeyError`` that names the file.
    public init(kid: String, algorithm: SigningAlgorithm, file path: String) throws(SigningKeyError) {
        let file: SecretFile
        do throws(FileError) {
            file = try SecretFile(unchecked: path, limit: Self.longestFile)
        } catch {
            throw SigningKeyError("the file \(path) \(error.clause)")
        }
        do throws(SigningKeyError) {
            self = try file.bytes.withCopy { (bytes: inout [UInt8]) throws(SigningKeyError) in
                switch algorithm {
                case .hs256:
                    // An editor or `openssl rand` adds line ends, which are not part of the secret.
                    while bytes.last == 0x0A || bytes.last == 0x0D { bytes.removeLast() }
                    return try SigningKey(kid: kid, secret: bytes)
                case .edDSA: return try SigningKey(kid: kid, ed25519PEM: bytes)
                }
            }
        } catch {
            throw SigningKeyError("the file \(path) \(error)")
        }
        do throws(FileError) {
            try file.check(isSecret: self.canSign)
        } catch {
            throw SigningKeyError("the file \(path) \(error.clause)")
        }
    }

    private init(kid: String, algorithm: SigningAlgorithm, material: KeyMaterial) throws(SigningKeyError) {
        guard Self.isName(kid) else {
            throw SigningKeyError(
                "has a name (kid) that is not 1 to 128 ASCII letters, digits, dots, underscores and hyphens")
        }
        self.kid = kid
        self.algorithm = algorithm
        self.material = material
    }

    /// Whether the key can sign; otherwise it can only check.
    package var canSign: Bool { self.material.canSign }

    /// Whether the other is the same key under the same name.
    package func isSame(as other: SigningKey) -> Bool {
        self.kid == other.kid && self.algorithm == other.algorithm && self.material.isSame(as: other.material)
    }

    /// Returns the signature of the bytes; nil when the key can only check, or OpenSSL fails.
    package func sign(_ bytes: [UInt8]) -> [UInt8]? { self.material.sign(bytes) }

    /// Whether the bytes have this signature under this key.
    package func verify(_ signature: [UInt8], of bytes: [UInt8]) -> Bool { self.material.verify(signature, of: bytes) }

    private static func isName(_ kid: String) -> Bool {
        (1...128).contains(kid.utf8.count) && kid.utf8.allSatisfy(\.isDottedNameByte)
    }
}

extension SigningKey: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The name and the algorithm.
    public var description: String { "SigningKey(\(self.kid), \(self.algorithm.rawValue))" }
    /// The name and the algorithm.
    public var debugDescription: String { self.description }
    /// The name and the algorithm; the key is not shown.
    public var customMirror: Mirror {
        Mirror(self, children: ["kid": self.kid, "algorithm": self.algorithm.rawValue], displayStyle: .struct)
    }
}

/// An error for a key that cannot be used.
public struct SigningKeyError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The problem and its remedy, as a clause whose subject is the key or its file. It never holds a part of a key.
    public let description: String

    init(_ description: String) { self.description = description }
}
