// SPDX-License-Identifier: Apache-2.0

import CConductorOpenSSL

/// The purposes that a certificate is issued for, according to its extensions.
///
/// OpenSSL accepts a certificate without an extended key usage for every purpose, and an authority's certificate as a
/// client's or a server's. Here a purpose counts only if the certificate names it: the authority that issues guests'
/// certificates often issues others too, and none of those is a guest or a conductor.
package struct CertificateUsage: Sendable, Hashable {
    /// Whether it may sign certificates, or claims so.
    package let isAuthority: Bool
    /// Whether it has an extended key usage at all.
    package let isLimited: Bool
    /// Whether its extended key usage names clientAuth.
    package let isForClients: Bool
    /// Whether its extended key usage names serverAuth.
    package let isForServers: Bool

    /// Reads the extensions of an `X509`.
    package init(x509: OpaquePointer) {
        // Each may be set without the other: keyCertSign without CA:TRUE, and the reverse.
        let flags = X509_get_extension_flags(x509)
        self.isAuthority = flags & UInt32(EXFLAG_CA) != 0 || X509_check_ca(x509) != 0
        self.isLimited = flags & UInt32(EXFLAG_XKUSAGE) != 0
        let purposes = self.isLimited ? X509_get_extended_key_usage(x509) : 0
        self.isForClients = purposes & UInt32(XKU_SSL_CLIENT) != 0
        self.isForServers = purposes & UInt32(XKU_SSL_SERVER) != 0
    }

    /// Reads the first certificate of a PEM text. Nothing in it is verified.
    ///
    /// Throws `.malformedPEM`.
    package init(pem text: String) throws(TLSError) {
        let certificates = try PEMDocument("certificate", .pem(text)).certificates()
        defer { PEMDocument.free(certificates) }
        self.init(x509: certificates[0])
    }

    /// Returns the reason why the certificate must not be used for this role, and what to do; nil if it may.
    ///
    /// `anyExtendedKeyUsage` names no purpose: a guest whose certificate is valid for any purpose could act as a
    /// conductor as well.
    package func objection(as role: TLSRole) -> String? {
        let purpose = role == .server ? "serverAuth" : "clientAuth"
        if self.isAuthority {
            return
                "it is an authority's certificate (CA:TRUE, or keyCertSign without CA:FALSE); issue one with CA:FALSE"
                + " and the extended key usage \(purpose)"
        }
        guard self.isLimited else {
            return "it has no extended key usage; reissue it with \(purpose)"
        }
        guard role == .server ? self.isForServers : self.isForClients else {
            return "it is not issued for this role; reissue it with the extended key usage \(purpose)"
                + " (anyExtendedKeyUsage is not enough)"
        }
        return nil
    }
}
