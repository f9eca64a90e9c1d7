// SPDX-License-Identifier: Apache-2.0

import CConductorOpenSSL
package import TLSChannel

extension CertificateAuthority {
    /// The names of a renewed certificate that replace its previous ones.
    package struct ServerNames: Sendable, Hashable {
        /// DNS names, as for a new certificate.
        package var dnsNames: [String]
        /// IPv4 and IPv6 literals.
        package var ipAddresses: [String]

        package init(dnsNames: [String], ipAddresses: [String]) {
            self.dnsNames = dnsNames
            self.ipAddresses = ipAddresses
        }
    }

    /// Renews a certificate of this authority: returns PEM text for the same key, subject and purpose, with another
    /// serial number.
    ///
    /// - Parameters:
    ///   - certificate: the certificate to renew, as PEM text. It may have expired.
    ///   - privateKey: its private key, as PEM text: a certificate without its key is useless.
    ///   - names: the names of the renewed certificate; nil keeps the present ones. Only a server's certificate can get
    ///     new ones.
    ///   - list: this authority's revocation list; nil if there is none.
    ///   - validity: the period in which the renewed certificate is valid.
    /// - Throws: `.malformedPEM`; `.keyMismatch`; `.certificateNotIssued` for a certificate that is not this
    ///   authority's, is revoked, or is not a conductor's or a guest's, and for names or a list that cannot be used.
    package func renewal(
        of certificate: String, privateKey: String, names: ServerNames? = nil, revokedBy list: String?,
        validity: CertificateValidity
    ) throws(TLSError) -> String {
        let certificates = try PEMDocument("the certificate", .pem(certificate)).certificates()
        defer { PEMDocument.free(certificates) }
        let old = certificates[0]
        let oldKey = try PEMDocument("the private key", .pem(privateKey)).privateKey()
        defer { EVP_PKEY_free(oldKey) }
        guard X509_check_private_key(old, oldKey) == 1 else {
            OpenSSLErrorStack.clear()
            throw TLSError(.keyMismatch, "the private key does not belong to the certificate")
        }
        let usage = CertificateUsage(x509: old)
        guard !usage.isAuthority, usage.isForClients || usage.isForServers else {
            throw TLSError(
                .certificateNotIssued,
                "the certificate is neither a conductor's nor a guest's (it is an authority's, or has no extended key usage serverAuth or clientAuth)"
            )
        }
        guard names == nil || usage.isForServers else {
            throw TLSError(.certificateNotIssued, "only a conductor's certificate can get new names")
        }
        return try self.withHandles { (issuer, key) throws(TLSError) in
            guard X509_verify(old, X509_get0_pubkey(issuer)) == 1 else {
                OpenSSLErrorStack.clear()
                throw TLSError(.certificateNotIssued, "the certificate was not issued by this authority")
            }
            try Self.check(old, isNotRevokedBy: list, issuer)
            let builder = try CertificateBuilder(renewing: old, validity: validity)
            try Self.addLeafExtensions(to: builder, issuer: issuer)
            try builder.copy(NID_ext_key_usage, of: old)
            if let names {
                try builder.add(Self.serverNames(names.dnsNames, names.ipAddresses))
            } else {
                try builder.copy(NID_subject_alt_name, of: old)
            }
            return try builder.certificate(signedBy: key)
        }
    }

    /// Renews this authority's own certificate, and returns it as PEM text. The certificates that the authority has
    /// issued and its revocation lists remain valid under the renewed certificate.
    package func ownRenewal(validity: CertificateValidity) throws(TLSError) -> String {
        try self.withHandles { (certificate, key) throws(TLSError) in
            let builder = try CertificateBuilder(renewing: certificate, validity: validity)
            try builder.setIssuer(certificate)
            try Self.addAuthorityExtensions(to: builder)
            return try builder.certificate(signedBy: key)
        }
    }

    private static func check(
        _ certificate: OpaquePointer, isNotRevokedBy text: String?, _ issuer: OpaquePointer
    ) throws(TLSError) {
        guard let text else { return }
        let lists = try PEMDocument("the revocation list", .pem(text)).revocationLists()
        defer { for list in lists { X509_CRL_free(list) } }
        guard X509_CRL_verify(lists[0], X509_get0_pubkey(issuer)) == 1 else {
            OpenSSLErrorStack.clear()
            throw TLSError(.certificateNotIssued, "the revocation list is not this authority's")
        }
        var entry: OpaquePointer?
        guard X509_CRL_get0_by_cert(lists[0], &entry, certificate) != 1 else {
            throw TLSError(
                .certificateNotIssued,
                "the certificate is revoked, and a renewal would admit its key again; issue one with a new key")
        }
    }
}
