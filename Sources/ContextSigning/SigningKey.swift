import Notifications

/// How a key signs; the name is JWS's `alg`.
public enum SigningAlgorithm: String, Sendable, Hashable, CaseIterable {
    /// HMAC with SHA-256 (RFC 7518, 3.2): one secret, which whoever checks could sign with too.
    case hs256 = "HS256"
    /// Ed25519 (RFC 8037, 3.1): the control plane has the private key, conductors the public one.
    case edDSA = "EdDSA"
}

/// A key that contexts are signed with, or checked.
///
/// The algorithm belongs to the key: what a token says of itself never chooses it. Neither a description nor a mirror of a
/// key shows more than its name and algorithm.
public struct SigningKey: Sendable {
    /// The key's name, which a token carries as `kid`: up to 128 ASCII letters, digits, `.`, `_` and `-`.
    public let kid: String
    /// What it signs with.
    public let algorithm: SigningAlgorithm
    private let material: KeyMaterial

    /// The shortest secret in bytes: shorter than its digest an HMAC's key must not be (RFC 7518, 3.2).
    static let shortestSecret = 32
    /// More than anybody means.
    private static let longestSecret = 4096

    /// A secret for HS256.
    ///
    /// - Parameters:
    ///   - kid: its name.
    ///   - secret: at least 32 bytes that nobody can guess; a password that somebody made up is not that.
    /// - Throws: ``SigningKeyError`` for a name or secret that cannot be used.
    public init(kid: String, secret: [UInt8]) throws(SigningKeyError) {
        guard (Self.shortestSecret...Self.longestSecret).contains(secret.count) else {
            throw SigningKeyError(
                "is a secret of \(secret.count) bytes, and HS256 needs \(Self.shortestSecret) to \(Self.longestSecret); "
                    + "make one with `openssl rand -base64 48`")
        }
        // An old trick makes a public key, which everybody has, the secret.
        if let form = KeyForm(of: secret) {
            throw SigningKeyError("is \(form.rawValue), which is no secret for HS256; say EdDSA, or make a secret")
        }
        try self.init(kid: kid, algorithm: .hs256, material: KeyMaterial(secret: secret))
    }

    /// An Ed25519 key.
    ///
    /// - Parameters:
    ///   - kid: its name.
    ///   - ed25519PEM: the private key (PKCS #8), which can sign and check, or the public one, which can check.
    /// - Throws: ``SigningKeyError`` for a name or key that cannot be used.
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

    /// The Ed25519 key of 32 bytes, as in a JWK.
    package init(kid: String, ed25519 bytes: [UInt8], isPrivate: Bool) throws(SigningKeyError) {
        guard let material = KeyMaterial(ed25519: bytes, isPrivate: isPrivate) else {
            throw SigningKeyError("is no Ed25519 key of 32 bytes")
        }
        try self.init(kid: kid, algorithm: .edDSA, material: material)
    }

    /// The key in a file: for EdDSA a PEM file, for HS256 the secret itself, without the line ends behind it.
    ///
    /// - Parameters:
    ///   - kid: its name.
    ///   - algorithm: what it is for.
    ///   - path: the file. One that can sign must be nobody's to read but its owner's and group's.
    /// - Throws: ``SigningKeyError`` that names the file.
    public init(kid: String, algorithm: SigningAlgorithm, file path: String) throws(SigningKeyError) {
        let file = try KeyFile(path)
        do throws(SigningKeyError) {
            switch algorithm {
            case .hs256: try self.init(kid: kid, secret: file.text)
            case .edDSA: try self.init(kid: kid, ed25519PEM: file.bytes)
            }
        } catch {
            throw SigningKeyError("the file \(path) \(error)")
        }
        try file.checkPermissions(isSecret: self.canSign)
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

    /// Whether it can sign; else it can only check.
    public var canSign: Bool { self.material.canSign }

    /// Whether it is the same key under the same name.
    package func isSame(as other: SigningKey) -> Bool {
        self.kid == other.kid && self.algorithm == other.algorithm && self.material.isSame(as: other.material)
    }

    /// The signature of these bytes; nil when the key can only check.
    package func sign(_ bytes: [UInt8]) -> [UInt8]? { self.material.sign(bytes) }

    /// Whether the signature is this key's, of these bytes.
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

/// A key that cannot be used.
public struct SigningKeyError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What is wrong and what to do, as a clause whose subject is the key or its file. It never holds a part of a key.
    public let description: String

    init(_ description: String) { self.description = description }
}
