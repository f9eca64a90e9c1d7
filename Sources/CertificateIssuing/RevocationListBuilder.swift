// SPDX-License-Identifier: Apache-2.0

import CConductorOpenSSL
import TLSChannel

/// A builder of one revocation list.
final class RevocationListBuilder {
    private let issuer: OpaquePointer
    private let list: OpaquePointer
    /// The list's crlNumber, of up to 20 bytes (RFC 5280, section 5.2.3).
    private let number: OpaquePointer

    /// Starts an empty list. The issuer's certificate must outlive the builder. Throws `.certificateNotIssued` if the
    /// validity ends before it begins.
    init(issuer: OpaquePointer, validity: CertificateValidity) throws(TLSError) {
        guard validity.notBefore <= validity.notAfter else {
            throw TLSError(.certificateNotIssued, "validity: notAfter is before notBefore")
        }
        OpenSSLErrorStack.clear()
        guard let list = X509_CRL_new() else { throw Self.failure }
        guard let number = BN_new() else {
            X509_CRL_free(list)
            throw Self.failure
        }
        self.issuer = issuer
        self.list = list
        self.number = number
        // All the object's fields are set: from here on, deinit cleans up after a throw.
        guard let update = ASN1_TIME_set(nil, Int(validity.notBefore)) else { throw Self.failure }
        defer { ASN1_TIME_free(update) }
        guard let end = ASN1_TIME_set(nil, Int(validity.notAfter)) else { throw Self.failure }
        defer { ASN1_TIME_free(end) }
        // The value 1 means version 2.
        guard X509_CRL_set_version(list, 1) == 1,
            X509_CRL_set_issuer_name(list, X509_get_subject_name(issuer)) == 1,
            X509_CRL_set1_lastUpdate(list, update) == 1, X509_CRL_set1_nextUpdate(list, end) == 1
        else { throw Self.failure }
    }

    deinit {
        X509_CRL_free(self.list)
        BN_free(self.number)
    }

    /// Copies the entries of an earlier list of the same issuer, and its number, if it has one.
    func keepEntries(of previous: OpaquePointer) throws(TLSError) {
        guard X509_CRL_verify(previous, X509_get0_pubkey(self.issuer)) == 1 else {
            OpenSSLErrorStack.clear()
            throw TLSError(.certificateNotIssued, "the previous revocation list is not this authority's")
        }
        for index in 0..<conductor_crl_entry_count(previous) {
            guard let entry = conductor_crl_entry_at(previous, index), let copy = X509_REVOKED_dup(entry) else {
                throw Self.failure
            }
            try self.add(copy)
        }
        guard let raw = X509_CRL_get_ext_d2i(previous, NID_crl_number, nil, nil) else {
            OpenSSLErrorStack.clear()
            return
        }
        let number = raw.assumingMemoryBound(to: ASN1_INTEGER.self)
        defer { ASN1_INTEGER_free(number) }
        guard ASN1_INTEGER_to_BN(number, self.number) != nil else { throw Self.failure }
        // A negative number is not valid, and later numbers must be.
        if BN_is_negative(self.number) == 1, BN_set_word(self.number, 0) != 1 { throw Self.failure }
    }

    /// Revokes a certificate, from this time on (in seconds since 1970).
    func revoke(_ certificate: OpaquePointer, at time: Int64) throws(TLSError) {
        guard X509_verify(certificate, X509_get0_pubkey(self.issuer)) == 1 else {
            OpenSSLErrorStack.clear()
            throw TLSError(.certificateNotIssued, "the certificate to revoke was not issued by this authority")
        }
        var known: OpaquePointer?
        if X509_CRL_get0_by_cert(self.list, &known, certificate) == 1 { return }
        guard let date = ASN1_TIME_set(nil, Int(time)) else { throw Self.failure }
        defer { ASN1_TIME_free(date) }
        guard let entry = X509_REVOKED_new() else { throw Self.failure }
        guard X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(certificate)) == 1,
            X509_REVOKED_set_revocationDate(entry, date) == 1
        else {
            X509_REVOKED_free(entry)
            throw Self.failure
        }
        try self.add(entry)
    }

    /// Returns the list as PEM text. Its number is one more than that of the list whose entries were kept, and 1
    /// without one.
    func signed(by key: OpaquePointer) throws(TLSError) -> String {
        guard
            let identifier = conductor_new_crl_extension(
                self.issuer, self.list, NID_authority_key_identifier, "keyid:always")
        else { throw Self.failure }
        defer { X509_EXTENSION_free(identifier) }
        guard BN_add_word(self.number, 1) == 1, let counter = BN_to_ASN1_INTEGER(self.number, nil) else {
            throw Self.failure
        }
        defer { ASN1_INTEGER_free(counter) }
        guard X509_CRL_add_ext(self.list, identifier, -1) == 1,
            X509_CRL_add1_ext_i2d(self.list, NID_crl_number, UnsafeMutableRawPointer(counter), 0, 0) == 1,
            X509_CRL_sort(self.list) == 1, X509_CRL_sign(self.list, key, EVP_sha256()) > 0
        else { throw Self.failure }
        return try CertificateBuilder.pem { PEM_write_bio_X509_CRL($0, self.list) }
    }

    /// Adds an entry, and takes ownership of it even on failure.
    private func add(_ entry: OpaquePointer) throws(TLSError) {
        guard X509_CRL_add0_revoked(self.list, entry) == 1 else {
            X509_REVOKED_free(entry)
            throw Self.failure
        }
    }

    private static var failure: TLSError { TLSError.internalFailure("make a revocation list") }
}
