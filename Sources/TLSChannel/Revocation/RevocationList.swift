// SPDX-License-Identifier: Apache-2.0

import CConductorOpenSSL
import NIOConcurrencyHelpers

/// One authority's revocation list (RFC 5280, section 5). Its entries are parsed when it is loaded, so a lookup needs
/// no OpenSSL object.
// @unchecked: the issuer's name is only read, and the other object of OpenSSL is behind the lock.
final class RevocationList: @unchecked Sendable {
    private struct Verification {
        /// The list as loaded; nil once its signer is known.
        var list: OpaquePointer?
        /// The public key that has signed the list; nil until it is known.
        var signer: [UInt8]?
        /// Public keys that have not signed the list, from certificates with the issuer's name.
        var otherKeys: Set<[UInt8]> = []
        var verifications = 0
    }

    /// The identity of the list among its authority's lists, with its time of publication.
    let edition: RevocationListEdition
    /// The time until which the list may be used, in seconds since 1970.
    let nextUpdate: Int64
    /// The same in a form for log messages.
    let expiry: TLSExpiry
    /// The serial numbers of the revoked certificates.
    let serialNumbers: SerialNumbers

    private static let maximumOtherKeys = 16
    private let issuer: OpaquePointer
    private let verification: NIOLockedValueBox<Verification>

    /// Takes ownership of the list, even when it throws. Throws `.revocationListRefused` for a list that may be
    /// incomplete, that requires a feature that is not supported, or that has a weak digest, no nextUpdate or
    /// unreadable fields.
    ///
    /// - Parameters:
    ///   - list: an X509_CRL.
    ///   - name: the name of the list in an error.
    ///   - source: the source that it was read from.
    init(taking list: OpaquePointer, name: String, source: String) throws(TLSError) {
        do throws(TLSError) {
            try Self.checkScope(of: list, name)
            try Self.checkSignatureDigest(of: list, name)
            self.serialNumbers = try Self.serialNumbers(of: list, name)
            guard let next = X509_CRL_get0_nextUpdate(list) else {
                throw Self.rejectionError(
                    name,
                    "it has no nextUpdate, so it would never expire; use a list that has one (RFC 5280 requires it)")
            }
            guard let published = PeerCertificate.seconds(X509_CRL_get0_lastUpdate(list)),
                let nextUpdate = PeerCertificate.seconds(next),
                let edition = RevocationListEdition(list, published: published),
                edition.number != nil || X509_CRL_get_ext_by_NID(list, NID_crl_number, -1) < 0
            else { throw Self.rejectionError(name, "its issuer, its dates or its number cannot be read") }
            self.edition = edition
            self.nextUpdate = nextUpdate
            self.expiry = TLSExpiry(crl: list, edition, nextUpdate: nextUpdate, source: source)
            guard let issuer = X509_NAME_dup(X509_CRL_get_issuer(list)) else {
                throw TLSError.internalFailure("take \(name)")
            }
            self.issuer = issuer
        } catch {
            X509_CRL_free(list)
            throw error
        }
        self.verification = NIOLockedValueBox(Verification(list: list))
    }

    deinit {
        X509_NAME_free(self.issuer)
        self.verification.withLockedValue { X509_CRL_free($0.list) }
    }

    /// Whether the list's issuer has the name of this authority. The key is not compared.
    func isNamed(after authority: OpaquePointer) -> Bool {
        X509_NAME_cmp(self.issuer, X509_get_subject_name(authority)) == 0
    }

    /// Whether this authority's key has signed the list. The result of the verification is cached for each key.
    func isSigned(by authority: OpaquePointer) -> Bool {
        guard let key = Self.publicKey(of: authority) else { return false }
        return self.verification.withLockedValue { verification in
            if let signer = verification.signer { return signer == key }
            guard let list = verification.list, !verification.otherKeys.contains(key) else { return false }
            verification.verifications += 1
            let isSigned = X509_CRL_verify(list, X509_get0_pubkey(authority)) == 1
            OpenSSLErrorStack.clear()
            if isSigned {
                X509_CRL_free(list)
                (verification.list, verification.signer, verification.otherKeys) = (nil, key, [])
            } else {
                if verification.otherKeys.count == Self.maximumOtherKeys { verification.otherKeys.removeAll() }
                verification.otherKeys.insert(key)
            }
            return isSigned
        }
    }

    /// The number of signature verifications, for tests: verification is the one operation that takes longer for a
    /// longer list.
    var verifications: Int { self.verification.withLockedValue { $0.verifications } }

    /// Whether the key that has signed the list is known.
    var isKnown: Bool { self.verification.withLockedValue { $0.signer != nil } }

    /// Whether both lists are of one authority: the same name and key, as far as the signing keys are known.
    func isOfTheSameAuthority(as other: RevocationList) -> Bool {
        let signers = [self, other].map { list in list.verification.withLockedValue { $0.signer } }
        guard let own = signers[0], let others = signers[1] else { return self.edition.isSameList(other.edition) }
        return own == others && X509_NAME_cmp(self.issuer, other.issuer) == 0
    }

    /// Whether this list was published later; of two published at the same time, whether it ends later. The order is
    /// strict for any lists, even of different authorities.
    func isNewer(than other: RevocationList) -> Bool {
        if other.edition.isOlder(than: self.edition) { return true }
        if self.edition.isOlder(than: other.edition) { return false }
        let (own, others) = (self.edition.published, other.edition.published)
        return own == others ? self.nextUpdate > other.nextUpdate : own > others
    }

    // MARK: reading

    /// Checks that the list covers everything that its issuer has issued, and that it has no critical extension that is
    /// not supported.
    private static func checkScope(of list: OpaquePointer, _ name: String) throws(TLSError) {
        if X509_CRL_get_ext_by_NID(list, NID_delta_crl, -1) >= 0 {
            throw self.rejectionError(name, "it is a delta list, which names only changes; use the complete list")
        }
        if X509_CRL_get_ext_by_NID(list, NID_issuing_distribution_point, -1) >= 0 {
            throw self.rejectionError(
                name,
                "it has an issuing distribution point, so it might not name everything that its authority has revoked;"
                    + " use the complete list")
        }
        // By the standard the supported extensions are not critical. Here it does no harm if they are.
        var place = X509_CRL_get_ext_by_critical(list, 1, -1)
        while place >= 0 {
            let kind = OBJ_obj2nid(X509_EXTENSION_get_object(X509_CRL_get_ext(list, place)))
            guard [NID_authority_key_identifier, NID_crl_number].contains(kind) else {
                throw self.rejectionError(name, "it has a critical extension that is not supported")
            }
            place = X509_CRL_get_ext_by_critical(list, 1, place)
        }
    }

    /// Rejects a list whose signature has a weak digest. OpenSSL rejects such digests in certificates but not in lists.
    private static func checkSignatureDigest(of list: OpaquePointer, _ name: String) throws(TLSError) {
        let digest = conductor_crl_digest(list)
        OpenSSLErrorStack.clear()
        guard digest != NID_undef else { return }
        // The security of a digest in bits is half its length. OpenSSL's security level 2 requires as much; SHA-1 and
        // MD5 have less.
        let bits = EVP_get_digestbyname(OBJ_nid2sn(digest)).map { EVP_MD_get_size($0) * 4 } ?? 0
        guard bits >= 112 else {
            let word = digest > 0 ? OBJ_nid2sn(digest).map { String(cString: $0) } ?? "?" : "an unknown one"
            throw self.rejectionError(
                name, "the digest of its signature is \(word), which is too weak; sign it with SHA-256")
        }
    }

    private static func serialNumbers(of list: OpaquePointer, _ name: String) throws(TLSError) -> SerialNumbers {
        // The first search makes OpenSSL sort the entries.
        guard let zero = ASN1_INTEGER_new() else { throw TLSError.internalFailure("take \(name)") }
        defer { ASN1_INTEGER_free(zero) }
        var found: OpaquePointer?
        _ = X509_CRL_get0_by_serial(list, &found, zero)

        var numbers = SerialNumbers()
        for index in 0..<conductor_crl_entry_count(list) {
            guard let entry = conductor_crl_entry_at(list, index), let number = X509_REVOKED_get0_serialNumber(entry)
            else { throw TLSError.internalFailure("take \(name)") }
            if X509_REVOKED_get_ext_count(entry) > 0 {
                guard X509_REVOKED_get_ext_by_NID(entry, NID_certificate_issuer, -1) < 0 else {
                    throw self.rejectionError(name, "it names certificates of other authorities (an indirect list)")
                }
                guard X509_REVOKED_get_ext_by_critical(entry, 1, -1) < 0 else {
                    throw self.rejectionError(name, "an entry has a critical extension that is not supported")
                }
                if self.isRemoval(entry) { continue }
            }
            numbers.append(SerialNumbers.key(of: number))
        }
        numbers.sort()
        return numbers
    }

    /// Whether the entry says that the certificate is valid again.
    private static func isRemoval(_ entry: OpaquePointer) -> Bool {
        guard let raw = X509_REVOKED_get_ext_d2i(entry, NID_crl_reason, nil, nil) else {
            OpenSSLErrorStack.clear()
            return false
        }
        let reason = raw.assumingMemoryBound(to: ASN1_ENUMERATED.self)
        defer { ASN1_ENUMERATED_free(reason) }
        return ASN1_ENUMERATED_get(reason) == Int(CRL_REASON_REMOVE_FROM_CRL)
    }

    private static func publicKey(of certificate: OpaquePointer) -> [UInt8]? {
        let key = X509_get_X509_PUBKEY(certificate)
        let length = i2d_X509_PUBKEY(key, nil)
        guard length > 0 else {
            OpenSSLErrorStack.clear()
            return nil
        }
        return [UInt8](unsafeUninitializedCapacity: Int(length)) { buffer, count in
            var end = buffer.baseAddress
            count = max(0, Int(i2d_X509_PUBKEY(key, &end)))
        }
    }

    private static func rejectionError(_ name: String, _ reason: String) -> TLSError {
        TLSError(.revocationListRefused, "\(name) cannot be used: \(reason)")
    }
}
