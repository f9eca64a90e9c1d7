// SPDX-License-Identifier: Apache-2.0

import CConductorOpenSSL
package import TLSChannel

/// A small certificate authority: it issues its own certificate, and those of servers and clients (EC P-256, SHA-256).
///
/// It is for installations that have no authority of their own, and for tests. It keeps no list of the certificates
/// that it has issued. Its revocation list (``revocationList(revoking:after:validity:)``) holds those that it has
/// revoked.
package struct CertificateAuthority: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    /// The authority's certificate, which peers need as a trust root.
    package let certificatePEM: String
    /// The authority's private key, not encrypted. Secret: its holder can impersonate any peer.
    package let privateKeyPEM: String

    /// The certificate; never the key.
    package var description: String { self.certificatePEM }
    /// The same as ``description``.
    package var debugDescription: String { self.description }
    /// The certificate only, so that `dump` cannot print the key.
    package var customMirror: Mirror { Mirror(self, children: ["certificatePEM": self.certificatePEM]) }

    /// Creates a self-signed authority, which can sign servers and clients but no further authority.
    ///
    /// Throws `.certificateNotIssued` if the name is empty, has control characters or more than 64 characters, or the
    /// validity ends before it begins.
    package static func create(
        commonName: String, validity: CertificateValidity
    ) throws(TLSError) -> CertificateAuthority {
        let builder = try CertificateBuilder(commonName: commonName, validity: validity)
        try self.addAuthorityExtensions(to: builder)
        return CertificateAuthority(trusted: try builder.selfSigned())
    }

    static func addAuthorityExtensions(to builder: CertificateBuilder) throws(TLSError) {
        try builder.add(NID_basic_constraints, "critical,CA:TRUE,pathlen:0")
        try builder.add(NID_key_usage, "critical,keyCertSign,cRLSign")
        try builder.add(NID_subject_key_identifier, "hash")
    }

    /// Loads an existing authority.
    ///
    /// Throws `.malformedPEM`, `.keyMismatch`, or `.invalidConfiguration` if the certificate may not sign others.
    package init(certificatePEM: String, privateKeyPEM: String) throws(TLSError) {
        self.certificatePEM = certificatePEM
        self.privateKeyPEM = privateKeyPEM
        try self.withHandles { (certificate, key) throws(TLSError) in
            guard X509_check_private_key(certificate, key) == 1 else {
                OpenSSLErrorStack.clear()
                throw TLSError(.keyMismatch, "the authority's private key does not belong to its certificate")
            }
            guard X509_check_ca(certificate) == 1 else {
                throw TLSError(
                    .invalidConfiguration,
                    "the authority's certificate may not sign others (no basicConstraints CA:TRUE)")
            }
        }
    }

    private init(trusted issued: IssuedCertificate) {
        self.certificatePEM = issued.certificatePEM
        self.privateKeyPEM = issued.privateKeyPEM
    }

    /// Issues a server's certificate (serverAuth) with a new key.
    ///
    /// DNS names may begin with `*.`; IP addresses are IPv4 or IPv6 literals; at least one name or address is required.
    /// Throws `.certificateNotIssued`, naming the value that is not acceptable.
    package func issueServer(
        commonName: String,
        dnsNames: [String] = [],
        ipAddresses: [String] = [],
        validity: CertificateValidity
    ) throws(TLSError) -> IssuedCertificate {
        let names = try Self.serverNames(dnsNames, ipAddresses)
        return try self.issue(commonName, names, usage: "serverAuth", validity)
    }

    static func serverNames(_ dnsNames: [String], _ ipAddresses: [String]) throws(TLSError) -> [AlternativeName] {
        guard !dnsNames.isEmpty || !ipAddresses.isEmpty else {
            throw TLSError(
                .certificateNotIssued,
                "a server needs a DNS name or an IP address; clients ignore the common name")
        }
        var names: [AlternativeName] = []
        for name in dnsNames { names.append(try .dns(name)) }
        for address in ipAddresses { names.append(try .ip(address)) }
        return names
    }

    /// Issues a client's certificate (clientAuth) with a new key.
    ///
    /// The URIs identify the client to a server that reads them; they must be absolute and printable ASCII. Throws
    /// `.certificateNotIssued`, naming the value that is not acceptable.
    package func issueClient(
        commonName: String,
        uris: [String] = [],
        validity: CertificateValidity
    ) throws(TLSError) -> IssuedCertificate {
        var names: [AlternativeName] = []
        for uri in uris { names.append(try .uri(uri)) }
        return try self.issue(commonName, names, usage: "clientAuth", validity)
    }

    private func issue(
        _ commonName: String, _ names: [AlternativeName], usage: StaticString, _ validity: CertificateValidity
    ) throws(TLSError) -> IssuedCertificate {
        let builder = try CertificateBuilder(commonName: commonName, validity: validity)
        return try self.withHandles { (certificate, key) throws(TLSError) in
            try Self.addLeafExtensions(to: builder, issuer: certificate)
            try builder.add(NID_ext_key_usage, usage)
            try builder.add(names)
            return try builder.signed(by: key)
        }
    }

    static func addLeafExtensions(to builder: CertificateBuilder, issuer: OpaquePointer) throws(TLSError) {
        try builder.setIssuer(issuer)
        try builder.add(NID_basic_constraints, "critical,CA:FALSE")
        try builder.add(NID_key_usage, "critical,digitalSignature")
        try builder.add(NID_subject_key_identifier, "hash")
        try builder.add(NID_authority_key_identifier, "keyid:always", issuer: issuer)
    }

    func withHandles<Result>(
        _ body: (_ certificate: OpaquePointer, _ key: OpaquePointer) throws(TLSError) -> Result
    ) throws(TLSError) -> Result {
        let certificateDocument = try PEMDocument("the authority's certificate", .pem(self.certificatePEM))
        let keyDocument = try PEMDocument("the authority's private key", .pem(self.privateKeyPEM))
        let certificates = try certificateDocument.certificates()
        defer { PEMDocument.free(certificates) }
        let key = try keyDocument.privateKey()
        defer { EVP_PKEY_free(key) }
        return try body(certificates[0], key)
    }
}
