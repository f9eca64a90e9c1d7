// SPDX-License-Identifier: Apache-2.0

import CConductorOpenSSL
import TLSChannel

/// A builder of one certificate, with its key and a random serial number.
final class CertificateBuilder {
    private let certificate: OpaquePointer
    private let key: OpaquePointer

    /// Starts a certificate with a new P-256 key.
    convenience init(commonName: String, validity: CertificateValidity) throws(TLSError) {
        let scalars = commonName.unicodeScalars
        guard (1...64).contains(scalars.count), scalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7f }) else {
            throw TLSError(
                .certificateNotIssued, "commonName: must have 1 to 64 characters, none of them a control character")
        }
        OpenSSLErrorStack.clear()
        guard let key = conductor_new_p256_key() else { throw TLSError.internalFailure("make a P-256 key") }
        try self.init(takingKey: key, validity: validity)
        let name = X509_get_subject_name(self.certificate)
        let text = Array(commonName.utf8)
        guard X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8, text, Int32(text.count), -1, 0) == 1
        else {
            throw TLSError(
                .certificateNotIssued, "commonName: OpenSSL rejects it",
                openSSLErrors: OpenSSLErrorStack.take().texts)
        }
    }

    /// Starts a certificate with the public key and the subject of this one.
    convenience init(renewing certificate: OpaquePointer, validity: CertificateValidity) throws(TLSError) {
        OpenSSLErrorStack.clear()
        guard let key = X509_get_pubkey(certificate) else { throw TLSError.internalFailure("read a public key") }
        try self.init(takingKey: key, validity: validity)
        guard X509_set_subject_name(self.certificate, X509_get_subject_name(certificate)) == 1 else {
            throw TLSError.internalFailure("set the subject")
        }
    }

    /// Starts a certificate, and takes ownership of the key even when it throws.
    private init(takingKey key: OpaquePointer, validity: CertificateValidity) throws(TLSError) {
        guard let certificate = X509_new() else {
            EVP_PKEY_free(key)
            throw TLSError.internalFailure("make a certificate")
        }
        self.certificate = certificate
        self.key = key

        // All the object's fields are set: from here on, deinit cleans up after a throw.
        guard validity.notBefore <= validity.notAfter else {
            throw TLSError(.certificateNotIssued, "validity: notAfter is before notBefore")
        }
        guard X509_set_version(certificate, Int(X509_VERSION_3)) == 1, X509_set_pubkey(certificate, key) == 1 else {
            throw TLSError.internalFailure("set up a certificate")
        }
        guard ASN1_TIME_set(X509_getm_notBefore(certificate), Int(validity.notBefore)) != nil,
            ASN1_TIME_set(X509_getm_notAfter(certificate), Int(validity.notAfter)) != nil
        else {
            OpenSSLErrorStack.clear()
            throw TLSError(.certificateNotIssued, "validity: a certificate cannot hold these times (years 0 to 9999)")
        }
        try self.setRandomSerialNumber()
    }

    deinit {
        X509_free(self.certificate)
        EVP_PKEY_free(self.key)
    }

    func setIssuer(_ issuer: OpaquePointer) throws(TLSError) {
        guard X509_set_issuer_name(self.certificate, X509_get_subject_name(issuer)) == 1 else {
            throw TLSError.internalFailure("set the issuer")
        }
    }

    /// Adds an extension. `value` is in OpenSSL's configuration language: use constants only, never user input.
    func add(_ nid: Int32, _ value: StaticString, issuer: OpaquePointer? = nil) throws(TLSError) {
        let signer = issuer ?? self.certificate
        guard let ext = conductor_new_extension(signer, self.certificate, nid, value.description) else {
            throw TLSError.internalFailure("make the certificate extension \(value)")
        }
        defer { X509_EXTENSION_free(ext) }
        guard X509_add_ext(self.certificate, ext, -1) == 1 else {
            throw TLSError.internalFailure("add the certificate extension \(value)")
        }
    }

    func add(_ names: [AlternativeName]) throws(TLSError) {
        guard !names.isEmpty else { return }
        guard let list = GENERAL_NAMES_new() else { throw TLSError.internalFailure("make a list of names") }
        defer { GENERAL_NAMES_free(list) }
        for name in names {
            guard let entry = conductor_general_name_new(name.type, name.octets, Int32(name.octets.count)),
                conductor_general_names_push(list, entry) == 1
            else { throw TLSError.internalFailure("add an alternative name") }
        }
        let added = X509_add1_ext_i2d(
            self.certificate, NID_subject_alt_name, UnsafeMutableRawPointer(list), 0, UInt(X509V3_ADD_DEFAULT))
        guard added == 1 else { throw TLSError.internalFailure("add the alternative names") }
    }

    /// Copies an extension of another certificate; does nothing if that certificate has none of this kind.
    func copy(_ nid: Int32, of other: OpaquePointer) throws(TLSError) {
        let place = X509_get_ext_by_NID(other, nid, -1)
        guard place >= 0 else { return }
        guard X509_add_ext(self.certificate, X509_get_ext(other, place), -1) == 1 else {
            throw TLSError.internalFailure("copy a certificate extension")
        }
    }

    func selfSigned() throws(TLSError) -> IssuedCertificate {
        try self.setIssuer(self.certificate)
        return try self.signed(by: self.key)
    }

    func signed(by signer: OpaquePointer) throws(TLSError) -> IssuedCertificate {
        IssuedCertificate(
            certificatePEM: try self.certificate(signedBy: signer),
            privateKeyPEM: try Self.pem { PEM_write_bio_PKCS8PrivateKey($0, self.key, nil, nil, 0, nil, nil) })
    }

    /// Signs the certificate and returns it as PEM text, without its key.
    func certificate(signedBy signer: OpaquePointer) throws(TLSError) -> String {
        guard X509_sign(self.certificate, signer, EVP_sha256()) > 0 else {
            throw TLSError.internalFailure("sign a certificate")
        }
        return try Self.pem { PEM_write_bio_X509($0, self.certificate) }
    }

    /// Sets a random serial number of 127 bits: positive and unpredictable.
    private func setRandomSerialNumber() throws(TLSError) {
        guard let number = BN_new() else { throw TLSError.internalFailure("make a serial number") }
        defer { BN_free(number) }
        guard BN_rand(number, 127, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1,
            BN_to_ASN1_INTEGER(number, X509_get_serialNumber(self.certificate)) != nil
        else { throw TLSError.internalFailure("make a serial number") }
    }

    static func pem(_ write: (OpaquePointer) -> Int32) throws(TLSError) -> String {
        guard let bio = BIO_new(BIO_s_secmem()) else { throw TLSError.internalFailure("make a buffer") }
        defer { BIO_free(bio) }
        guard write(bio) == 1 else { throw TLSError.internalFailure("write PEM text") }
        var bytes: UnsafeMutablePointer<CChar>?
        let count = conductor_bio_memory(bio, &bytes)
        return UnsafeRawBufferPointer(start: bytes, count: count).withMemoryRebound(to: UInt8.self) {
            String(decoding: $0, as: UTF8.self)
        }
    }
}
