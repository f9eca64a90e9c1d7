// SPDX-License-Identifier: Apache-2.0

import CConductorOpenSSL

/// The identity of one of an authority's revocation lists.
struct RevocationListEdition: Sendable, Hashable {
    /// The issuer's name, in DER: two authorities may share a common name, or have none.
    let issuer: [UInt8]
    /// The identifier of the issuer's key that has signed the list; nil if the list has none. An issuer may keep its
    /// name when its key changes.
    let keyID: [UInt8]?
    /// The cRLNumber, most significant byte first and without leading zeros; nil if the list has none.
    let number: [UInt8]?
    /// The list's thisUpdate, in seconds since 1970.
    let published: Int64

    /// Reads the identity of a list. Returns nil if its issuer cannot be read.
    init?(_ list: OpaquePointer, published: Int64) {
        var bytes: UnsafePointer<UInt8>?
        var length = 0
        guard X509_NAME_get0_der(X509_CRL_get_issuer(list), &bytes, &length) == 1 else {
            OpenSSLErrorStack.clear()
            return nil
        }
        self.issuer = Array(UnsafeBufferPointer(start: bytes, count: length))
        self.keyID = Self.keyID(of: list)
        self.number = Self.number(of: list)
        self.published = published
    }

    init(issuer: [UInt8], keyID: [UInt8]?, number: [UInt8]?, published: Int64) {
        self.issuer = issuer
        self.keyID = keyID
        self.number = number
        self.published = published
    }

    /// Whether both lists are of one authority and one key of it. A list without a key identifier matches any key.
    func isSameList(_ other: RevocationListEdition) -> Bool {
        guard self.issuer == other.issuer else { return false }
        guard let own = self.keyID, let others = other.keyID else { return true }
        return own == others
    }

    /// Whether the other list was published later: by number, or by time if neither list has a number.
    ///
    /// If only one list has a number, the later one is unknown, and such lists of one authority are rejected
    /// (``isComparable(with:)``). The order is strict nevertheless: a list without a number counts as older.
    func isOlder(than other: RevocationListEdition) -> Bool {
        switch (self.number, other.number) {
        case (nil, nil): self.published < other.published
        case (nil, _?): true
        case (_?, nil): false
        case (let own?, let others?):
            own.count == others.count ? own.lexicographicallyPrecedes(others) : own.count < others.count
        }
    }

    /// Whether the later one of the two lists is known: both have a number, or neither has.
    func isComparable(with other: RevocationListEdition) -> Bool { (self.number == nil) == (other.number == nil) }

    private static func keyID(of list: OpaquePointer) -> [UInt8]? {
        guard let raw = X509_CRL_get_ext_d2i(list, NID_authority_key_identifier, nil, nil) else {
            OpenSSLErrorStack.clear()
            return nil
        }
        let identifier = raw.assumingMemoryBound(to: AUTHORITY_KEYID.self)
        defer { AUTHORITY_KEYID_free(identifier) }
        return identifier.pointee.keyid.map { Array(PeerCertificate.bytes($0)) }
    }

    private static func number(of list: OpaquePointer) -> [UInt8]? {
        guard let raw = X509_CRL_get_ext_d2i(list, NID_crl_number, nil, nil) else {
            OpenSSLErrorStack.clear()
            return nil
        }
        let number = raw.assumingMemoryBound(to: ASN1_INTEGER.self)
        defer { ASN1_INTEGER_free(number) }
        return Array(PeerCertificate.bytes(number).drop { $0 == 0 })
    }
}
