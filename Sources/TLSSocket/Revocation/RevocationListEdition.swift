import CConductorOpenSSL

/// Which of an authority's revocation lists one is.
struct RevocationListEdition: Sendable, Hashable {
    /// The issuer's name, in DER: two authorities may share a common name, or have none.
    let issuer: [UInt8]
    /// Which of the issuer's keys has signed it, if it says so: a name may stay when a key changes.
    let keyID: [UInt8]?
    /// The cRLNumber, most significant byte first and without leading zeros, if it has one.
    let number: [UInt8]?
    /// The thisUpdate, in seconds since 1970.
    let published: Int64

    /// Nil for a list whose issuer cannot be read.
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

    /// Whether both are of one authority and one key of it; who does not say which key may mean any.
    func isOfTheSame(_ other: RevocationListEdition) -> Bool {
        guard self.issuer == other.issuer else { return false }
        guard let own = self.keyID, let others = other.keyID else { return true }
        return own == others
    }

    /// Whether the other one was published later: by their numbers, by their times where neither has one.
    ///
    /// Where one has a number and the other has none nothing says which is the later one, and such lists of one authority are
    /// refused (``isComparable(with:)``). The order is strict all the same: those without one are the older.
    func isOlder(than other: RevocationListEdition) -> Bool {
        switch (self.number, other.number) {
        case (nil, nil): self.published < other.published
        case (nil, _?): true
        case (_?, nil): false
        case (let own?, let others?):
            own.count == others.count ? own.lexicographicallyPrecedes(others) : own.count < others.count
        }
    }

    /// Whether it can be told which of the two is the later one: both have a number, or neither.
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
