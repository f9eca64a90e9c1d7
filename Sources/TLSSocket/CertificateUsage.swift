import CConductorOpenSSL

/// The purposes that a certificate is issued for, as its extensions say.
///
/// OpenSSL takes a certificate without an extended key usage for every purpose, and an authority's for a client's or a server's.
/// Here a purpose counts only where it is named: the authority that issues guests' certificates often issues others too, and none
/// of those is a guest or a conductor.
package struct CertificateUsage: Sendable, Hashable {
    /// Whether it may sign certificates, or says so.
    package let isAuthority: Bool
    /// Whether it has an extended key usage at all.
    package let isLimited: Bool
    /// Whether its extended key usage names clientAuth.
    package let isForClients: Bool
    /// Whether its extended key usage names serverAuth.
    package let isForServers: Bool

    init(x509: OpaquePointer) {
        // Either may be unset where the other is not: keyCertSign without CA:TRUE, and the other way round.
        let flags = X509_get_extension_flags(x509)
        self.isAuthority = flags & UInt32(EXFLAG_CA) != 0 || X509_check_ca(x509) != 0
        self.isLimited = flags & UInt32(EXFLAG_XKUSAGE) != 0
        let purposes = self.isLimited ? X509_get_extended_key_usage(x509) : 0
        self.isForClients = purposes & UInt32(XKU_SSL_CLIENT) != 0
        self.isForServers = purposes & UInt32(XKU_SSL_SERVER) != 0
    }

    /// The first certificate of a PEM text, of which nothing is verified.
    ///
    /// Throws `.malformedPEM`.
    package init(pem text: String) throws(TLSError) {
        let certificates = try PEMDocument("certificate", .pem(text)).certificates()
        defer { PEMDocument.free(certificates) }
        self.init(x509: certificates[0])
    }

    /// The reason why a certificate must not stand for this end of a connection, and what to do; nil if it may.
    ///
    /// `anyExtendedKeyUsage` names no purpose: a guest whose certificate is good for anything would be a conductor as well.
    package func objection(as role: TLSRole) -> String? {
        let purpose = role == .server ? "serverAuth" : "clientAuth"
        if self.isAuthority {
            return
                "it is an authority's certificate (CA:TRUE, or keyCertSign without CA:FALSE); have one issued with CA:FALSE"
                + " and the extended key usage \(purpose)"
        }
        guard self.isLimited else {
            return "it has no extended key usage; have it issued with \(purpose)"
        }
        guard role == .server ? self.isForServers : self.isForClients else {
            return "it is not made for this role; have it issued with the extended key usage \(purpose)"
                + " (anyExtendedKeyUsage is not enough)"
        }
        return nil
    }
}
