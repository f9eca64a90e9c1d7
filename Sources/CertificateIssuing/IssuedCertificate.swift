// SPDX-License-Identifier: Apache-2.0

/// A certificate and its private key, as PEM text.
///
/// Its description shows the certificate only.
package struct IssuedCertificate: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    /// The certificate (`-----BEGIN CERTIFICATE-----`).
    package let certificatePEM: String
    /// The private key in PKCS #8, not encrypted (`-----BEGIN PRIVATE KEY-----`). Secret: write it with mode 0600.
    package let privateKeyPEM: String

    /// The certificate; never the key.
    package var description: String { self.certificatePEM }
    /// The same as ``description``.
    package var debugDescription: String { self.description }
    /// The certificate only, so that `dump` cannot print the key.
    package var customMirror: Mirror { Mirror(self, children: ["certificatePEM": self.certificatePEM]) }
}
