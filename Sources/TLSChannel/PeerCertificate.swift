// SPDX-License-Identifier: Apache-2.0

import CConductorOpenSSL
import Glibc

/// The contents of a certificate. If it comes from a connection, its chain was verified.
package struct PeerCertificate: Sendable, Hashable {
    /// The subject's common name; nil if there is none, if there are several (it would be ambiguous), or if it contains
    /// a NUL.
    package let commonName: String?
    /// The URIs of the subject alternative name, in order. A URI that is not printable ASCII is left out: with a NUL in
    /// it, other software could read it differently.
    package let uris: [String]
    /// Whether such a URI was left out. Code that identifies a peer by its URIs must check this: the URI that was left
    /// out may be one that must not occur beside the others.
    package let hasUnprintableURI: Bool
    /// The DNS names of the subject alternative name, in order, with the same exception.
    package let dnsNames: [String]
    /// The serial number in lower-case hexadecimal, two digits a byte.
    package let serialNumber: String
    /// The start of the validity, in seconds since 1970 (UTC).
    package let notBefore: Int64
    /// The end of the validity, in seconds since 1970 (UTC).
    package let notAfter: Int64
    /// SHA-256 of the whole certificate in lower-case hexadecimal: 64 digits.
    package let sha256: String

    /// Creates a certificate from these values, for tests.
    package init(
        commonName: String?, uris: [String], hasUnprintableURI: Bool = false, dnsNames: [String],
        serialNumber: String, notBefore: Int64, notAfter: Int64, sha256: String
    ) {
        self.commonName = commonName
        self.uris = uris
        self.hasUnprintableURI = hasUnprintableURI
        self.dnsNames = dnsNames
        self.serialNumber = serialNumber
        self.notBefore = notBefore
        self.notAfter = notAfter
        self.sha256 = sha256
    }

    /// Reads a certificate. Returns nil if its dates cannot be read, which does not occur in a verified certificate.
    init?(x509: OpaquePointer) {
        guard let notBefore = Self.seconds(X509_get0_notBefore(x509)),
            let notAfter = Self.seconds(X509_get0_notAfter(x509)),
            let sha256 = Self.digest(of: x509)
        else { return nil }
        self.notBefore = notBefore
        self.notAfter = notAfter
        self.sha256 = sha256
        self.commonName = Self.commonName(of: X509_get_subject_name(x509))
        self.serialNumber = X509_get0_serialNumber(x509).map { Self.hex(Self.bytes($0)) } ?? ""
        (self.uris, self.hasUnprintableURI, self.dnsNames) = Self.alternativeNames(of: x509)
    }

    static func commonName(of name: OpaquePointer?) -> String? {
        let first = X509_NAME_get_index_by_NID(name, NID_commonName, -1)
        guard first >= 0, X509_NAME_get_index_by_NID(name, NID_commonName, first) < 0 else { return nil }
        let value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, first))
        var utf8: UnsafeMutablePointer<UInt8>?
        let length = ASN1_STRING_to_UTF8(&utf8, value)
        guard length >= 0, let utf8 else {
            OpenSSLErrorStack.clear()
            return nil
        }
        defer { conductor_openssl_free(utf8) }
        let bytes = UnsafeBufferPointer(start: utf8, count: Int(length))
        guard !bytes.contains(0) else { return nil }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func alternativeNames(
        of x509: OpaquePointer
    ) -> (uris: [String], hasUnprintableURI: Bool, dnsNames: [String]) {
        guard let raw = X509_get_ext_d2i(x509, NID_subject_alt_name, nil, nil) else {
            OpenSSLErrorStack.clear()
            return ([], false, [])
        }
        let names = OpaquePointer(raw)
        defer { GENERAL_NAMES_free(names) }
        var uris: [String] = []
        var hasUnprintableURI = false
        var dnsNames: [String] = []
        for index in 0..<conductor_general_names_count(names) {
            var type: Int32 = 0
            guard let name = conductor_general_names_at(names, index),
                let value = GENERAL_NAME_get0_value(name, &type)
            else { continue }
            guard type == GEN_URI || type == GEN_DNS else { continue }
            let bytes = Self.bytes(value.assumingMemoryBound(to: ASN1_STRING.self))
            guard bytes.allSatisfy({ (0x21...0x7e).contains($0) }) else {
                if type == GEN_URI { hasUnprintableURI = true }
                continue
            }
            let text = String(decoding: bytes, as: UTF8.self)
            if type == GEN_URI { uris.append(text) } else { dnsNames.append(text) }
        }
        return (uris, hasUnprintableURI, dnsNames)
    }

    static func bytes(_ string: UnsafePointer<ASN1_STRING>) -> UnsafeBufferPointer<UInt8> {
        UnsafeBufferPointer(start: ASN1_STRING_get0_data(string), count: Int(ASN1_STRING_length(string)))
    }

    static func seconds(_ time: UnsafePointer<ASN1_TIME>?) -> Int64? {
        var parts = tm()
        guard let time, ASN1_TIME_to_tm(time, &parts) == 1 else {
            OpenSSLErrorStack.clear()
            return nil
        }
        return Int64(timegm(&parts))
    }

    private static func digest(of x509: OpaquePointer) -> String? {
        var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var length: UInt32 = 0
        guard X509_digest(x509, EVP_sha256(), &digest, &length) == 1 else {
            OpenSSLErrorStack.clear()
            return nil
        }
        return self.hex(digest[..<Int(length)])
    }

    private static func hex(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        for byte in bytes {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }
}
