// SPDX-License-Identifier: Apache-2.0

/// A version of the TLS protocol.
package enum TLSVersion: String, Sendable, Hashable, CaseIterable {
    /// TLS 1.2, only with ECDHE and an AEAD cipher.
    case tls12 = "1.2"
    /// TLS 1.3.
    case tls13 = "1.3"
}

/// The role of this side of a connection.
package enum TLSRole: Sendable, Hashable {
    /// Accepts connections, and requires a certificate of every client.
    case server
    /// Opens connections, and checks the server's certificate and name.
    case client
}

/// The source of PEM text.
///
/// Its description never shows the text, which may be a private key.
package enum TLSSource: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    /// The path of a file, read when the ``TLSContext`` is made.
    case file(String)
    /// The PEM text itself.
    case pem(String)

    /// The path, or a fixed text in place of inline PEM.
    package var description: String {
        switch self {
        case .file(let path): "file \(path)"
        case .pem: "inline PEM"
        }
    }

    /// The same as ``description``.
    package var debugDescription: String { self.description }

    /// Shows no children, so that `dump` cannot print a key either.
    package var customMirror: Mirror { Mirror(self, children: []) }
}

/// The configuration of a ``TLSContext``.
///
/// Authentication is always mutual: a server requires a client certificate, a client checks the server's certificate
/// and name. Authentication cannot be switched off.
package struct TLSConfiguration: Sendable, Hashable {
    /// The oldest version that is accepted where nothing else is configured.
    package static let defaultMinimumVersion = TLSVersion.tls13

    /// The role of this side of a connection.
    package var role: TLSRole
    /// This side's certificate, followed by the intermediates up to, and not including, the root.
    package var certificateChain: TLSSource
    /// The private key of the certificate, not encrypted.
    package var privateKey: TLSSource
    /// The certificate authorities whose peers are accepted. Only these are trusted, never the system's.
    package var trustRoots: TLSSource
    /// The revocation lists of those authorities: PEM, one after the other. With nil no certificate counts as revoked.
    ///
    /// With lists, every certificate of a peer's chain is looked up, and a certificate of unknown status is rejected:
    /// there must be a list of each issuer, signed by that issuer, and its nextUpdate must not have passed.
    package var revocationLists: TLSSource?
    /// The oldest version to accept.
    package var minimumVersion: TLSVersion
    /// The names of protocols for ALPN, in order of preference, 1 to 255 bytes each. An empty array switches ALPN off.
    ///
    /// A server rejects a client that offers only other protocols, and accepts one that offers none at all.
    package var applicationProtocols: [String]

    /// Creates the configuration of one side of a connection; nothing is read before a ``TLSContext`` is created.
    package init(
        role: TLSRole,
        certificateChain: TLSSource,
        privateKey: TLSSource,
        trustRoots: TLSSource,
        revocationLists: TLSSource? = nil,
        minimumVersion: TLSVersion = Self.defaultMinimumVersion,
        applicationProtocols: [String]
    ) {
        self.role = role
        self.certificateChain = certificateChain
        self.privateKey = privateKey
        self.trustRoots = trustRoots
        self.revocationLists = revocationLists
        self.minimumVersion = minimumVersion
        self.applicationProtocols = applicationProtocols
    }
}
