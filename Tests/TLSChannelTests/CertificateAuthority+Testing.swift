// SPDX-License-Identifier: Apache-2.0

import CConductorOpenSSL
import Glibc

@testable import CertificateIssuing
@testable import TLSChannel

extension CertificateAuthority {
    static let authorityExtensions: [(Int32, StaticString)] = [
        (NID_basic_constraints, "critical,CA:TRUE"), (NID_key_usage, "critical,keyCertSign,cRLSign"),
    ]

    /// Creates a root that can issue other authorities.
    static func root(_ commonName: String = "root", validity: CertificateValidity = .days(2)) throws
        -> CertificateAuthority
    {
        let builder = try CertificateBuilder(commonName: commonName, validity: validity)
        for (nid, value) in self.authorityExtensions { try builder.add(nid, value) }
        try builder.add(NID_subject_key_identifier, "hash")
        let issued = try builder.selfSigned()
        return try CertificateAuthority(certificatePEM: issued.certificatePEM, privateKeyPEM: issued.privateKeyPEM)
    }

    /// Issues a certificate with these extensions, and only these.
    func issue(
        _ extensions: [(Int32, StaticString)], commonName: String = "peer", names: [AlternativeName] = [],
        validity: CertificateValidity = .days(1)
    ) throws -> IssuedCertificate {
        try self.withHandles { (issuer, key) throws(TLSError) in
            let builder = try CertificateBuilder(commonName: commonName, validity: validity)
            try builder.setIssuer(issuer)
            for (nid, value) in extensions { try builder.add(nid, value) }
            try builder.add(names)
            return try builder.signed(by: key)
        }
    }

    /// Issues an authority below this one.
    func issueAuthority(
        _ commonName: String, validity: CertificateValidity = .days(1)
    ) throws -> CertificateAuthority {
        let issued = try self.withHandles { (issuer, key) throws(TLSError) in
            let builder = try CertificateBuilder(commonName: commonName, validity: validity)
            try builder.setIssuer(issuer)
            for (nid, value) in Self.authorityExtensions { try builder.add(nid, value) }
            try builder.add(NID_subject_key_identifier, "hash")
            try builder.add(NID_authority_key_identifier, "keyid:always", issuer: issuer)
            return try builder.signed(by: key)
        }
        return try CertificateAuthority(certificatePEM: issued.certificatePEM, privateKeyPEM: issued.privateKeyPEM)
    }

    /// Returns the same certificate or list, changed by the closure and signed again by this authority.
    func resigned(
        certificate text: String, digest: OpaquePointer?, _ change: (OpaquePointer) -> Void = { _ in }
    ) throws -> String {
        let certificates = try PEMDocument("certificate", .pem(text)).certificates()
        defer { PEMDocument.free(certificates) }
        change(certificates[0])
        return try self.withHandles { (_, key) throws(TLSError) in
            guard X509_sign(certificates[0], key, digest) > 0 else { throw TLSError.internalFailure("sign") }
            return try CertificateBuilder.pem { PEM_write_bio_X509($0, certificates[0]) }
        }
    }

    func resigned(list text: String, digest: OpaquePointer?) throws -> String {
        let lists = try PEMDocument("list", .pem(text)).revocationLists()
        defer { for list in lists { X509_CRL_free(list) } }
        return try self.sign(lists[0], digest)
    }

    /// Returns an empty list without nextUpdate, which the project's own builder does not make.
    func listWithoutEnd() throws -> String {
        guard let list = X509_CRL_new() else { throw Unexpected() }
        defer { X509_CRL_free(list) }
        guard let now = ASN1_TIME_set(nil, time(nil) - 60) else { throw Unexpected() }
        defer { ASN1_TIME_free(now) }
        return try self.withHandles { (certificate, _) throws(TLSError) in
            guard X509_CRL_set_version(list, 1) == 1,
                X509_CRL_set_issuer_name(list, X509_get_subject_name(certificate)) == 1,
                X509_CRL_set1_lastUpdate(list, now) == 1
            else { throw TLSError.internalFailure("make a list") }
            return try self.sign(list, EVP_sha256())
        }
    }

    private func sign(_ list: OpaquePointer, _ digest: OpaquePointer?) throws(TLSError) -> String {
        try self.withHandles { (_, key) throws(TLSError) in
            guard X509_CRL_sign(list, key, digest) > 0 else { throw TLSError.internalFailure("sign") }
            return try CertificateBuilder.pem { PEM_write_bio_X509_CRL($0, list) }
        }
    }
}

extension TLSContext {
    /// Returns the same context with a certificate that its own checks would reject.
    func showing(_ identity: IssuedCertificate) throws -> TLSContext {
        let certificates = try PEMDocument("certificate", .pem(identity.certificatePEM)).certificates()
        defer { PEMDocument.free(certificates) }
        let key = try PEMDocument("key", .pem(identity.privateKeyPEM)).privateKey()
        defer { EVP_PKEY_free(key) }
        // A peer has no reason to be strict with itself.
        SSL_CTX_set_security_level(self.ssl.pointer, 0)
        guard SSL_CTX_use_certificate(self.ssl.pointer, certificates[0]) == 1 else { throw Unexpected() }
        for more in certificates.dropFirst() {
            guard conductor_ssl_ctx_add_chain_certificate(self.ssl.pointer, more) == 1 else { throw Unexpected() }
        }
        guard SSL_CTX_use_PrivateKey(self.ssl.pointer, key) == 1 else { throw Unexpected() }
        return self
    }
}
