import CConductorOpenSSL

/// The revocation lists of a configuration, verified once when they are loaded, and what they say of a peer: the same to a
/// handshake and to an open connection.
///
/// They are no part of an `SSL_CTX`: lists that were replaced are freed though connections of their time are open.
package final class RevocationLists: Sendable {
    /// What the lists say of one certificate.
    private enum Finding {
        case revoked
        case good
        /// It cannot be known whether it is revoked, for this reason (X509_V_ERR_…).
        case unknown(Int32)
    }

    /// Of each authority the newest first; of those whose signature is known, only that.
    let lists: [RevocationList]
    /// SHA-256 of the text.
    let digest: [UInt8]
    /// The authorities that are trusted.
    private let anchors: TrustAnchors

    /// How many certificates the lists name, in all.
    package var count: Int { self.lists.reduce(0) { $0 + $1.serialNumbers.count } }

    /// Reads the lists and verifies those of the authorities that are trusted. One of another issuer, which must be an authority
    /// between a peer and a trusted one, is verified when a peer brings its certificate.
    ///
    /// Throws `.malformedPEM`, and `.revocationListRefused` for a list that cannot be gone by, for one that is not signed by the
    /// authority of its name, and for an authority without one.
    init(_ document: borrowing PEMDocument, authorities: borrowing PEMDocument) throws(TLSError) {
        self.digest = try document.digest()
        self.anchors = try TrustAnchors(authorities)
        let roots = self.anchors.certificates
        let lists = try Self.read(document)
        for (list, name) in lists {
            let namesakes = roots.filter { list.isNamed(after: $0) }
            guard namesakes.isEmpty || namesakes.contains(where: { list.isSigned(by: $0) }) else {
                throw TLSError(
                    .revocationListRefused,
                    "\(name) is not signed by the authority of that name in \(authorities.name)")
            }
        }
        // An authority that has expired needs no list, since nothing of it is accepted.
        for root in roots where X509_check_ca(root) != 0 && X509_cmp_current_time(X509_get0_notAfter(root)) > 0 {
            let subject = Self.name(X509_get_subject_name(root))
            guard Self.maySignLists(root) else {
                throw TLSError(
                    .revocationListRefused,
                    "\(subject) of \(authorities.name) may not sign revocation lists (its keyUsage lacks cRLSign), so none of its"
                        + " peers could be let in; have it issued with cRLSign")
            }
            guard lists.contains(where: { $0.list.isNamed(after: root) && $0.list.isSigned(by: root) }) else {
                throw TLSError(
                    .revocationListRefused,
                    "\(document.name) holds no list of the authority \(subject) of \(authorities.name); every authority needs"
                        + " one, be it empty")
            }
        }
        try Self.checkOrder(lists)
        self.lists = Self.newestFirst(lists.map(\.list))
    }

    /// Of several lists of one authority it must be certain which is the latest.
    private static func checkOrder(_ lists: [(list: RevocationList, name: String)]) throws(TLSError) {
        for (index, (list, name)) in lists.enumerated() {
            for (other, otherName) in lists[..<index]
            where list.isOfTheSameAuthority(as: other) && !list.edition.isComparable(with: other.edition) {
                throw TLSError(
                    .revocationListRefused,
                    "\(name) and \(otherName) are of one authority, and only one of them has a crlNumber, so that it"
                        + " cannot be known which is the later one; leave one out")
            }
        }
    }

    private static func read(
        _ document: borrowing PEMDocument
    ) throws(TLSError) -> [(list: RevocationList, name: String)] {
        var pointers = try document.revocationLists()[...]
        defer { for pointer in pointers { X509_CRL_free(pointer) } }
        var lists: [(RevocationList, String)] = []
        while let pointer = pointers.popFirst() {
            let issuer = Self.name(X509_CRL_get_issuer(pointer))
            let name = "\(document.name): list number \(lists.count + 1), of \(issuer),"
            lists.append((try RevocationList(taking: pointer, name: name, source: document.name), name))
        }
        return lists
    }

    private static func newestFirst(_ lists: [RevocationList]) -> [RevocationList] {
        // Of two that are equally new the later in the file.
        let sorted = lists.reversed().sorted { $0.isNewer(than: $1) }
        return sorted.enumerated().filter { index, list in
            !sorted[..<index].contains { $0.isKnown && list.isKnown && $0.isOfTheSameAuthority(as: list) }
        }.map(\.element)
    }

    /// When the lists run out: of several of one authority the newest one.
    var expiries: [TLSExpiry] {
        self.lists.enumerated().compactMap { index, list -> TLSExpiry? in
            self.lists[..<index].contains { $0.isOfTheSameAuthority(as: list) } ? nil : list.expiry
        }
    }

    /// Whether a certificate of this chain is revoked. A list that has run out still counts: what it names stays revoked.
    ///
    /// Cheap enough for every open connection.
    package func contains(_ chain: VerifiedChain) -> Bool {
        self.links(of: chain).contains { certificate, issuer in
            if case .revoked = self.look(certificate, issuer, now: 0) { true } else { false }
        }
    }

    /// Why a peer with this chain must not be let in; nil if it may. What cannot be found out is a reason.
    ///
    /// - Returns: the certificate and its number, the peer's own being 0, and the reason (X509_V_ERR_…).
    func refusal(
        of chain: VerifiedChain, now: Int64
    ) -> (depth: Int, certificate: OpaquePointer, reason: Int32)? {
        let length = chain.certificates.count
        for (depth, link) in self.links(of: chain).enumerated() {
            switch self.look(link.certificate, link.issuer, now: now) {
            case .good: continue
            case .revoked: return (depth, link.certificate, X509_V_ERR_CERT_REVOKED)
            case .unknown(let reason):
                // The chain does not depend on an authority above its end. One that has expired needs no list there, as when the
                // lists are loaded; what its list names is revoked all the same.
                if depth + 1 >= length, Self.hasExpired(link.issuer, now: now) { continue }
                return (depth, link.certificate, reason)
            }
        }
        return nil
    }

    /// The chain's certificates with their issuers', and on above its end where that one was issued by another authority that is
    /// trusted: a chain that could be shorter is looked up as a whole.
    private func links(of chain: VerifiedChain) -> [(certificate: OpaquePointer, issuer: OpaquePointer)] {
        chain.links + (chain.certificates.last.map(self.anchors.links(above:)) ?? [])
    }

    private func look(_ certificate: OpaquePointer, _ issuer: OpaquePointer, now: Int64) -> Finding {
        let named = self.lists.filter { $0.isNamed(after: issuer) }
        guard !named.isEmpty else { return .unknown(X509_V_ERR_UNABLE_TO_GET_CRL) }
        guard Self.maySignLists(issuer) else { return .unknown(X509_V_ERR_KEYUSAGE_NO_CRL_SIGN) }
        guard let list = named.first(where: { $0.isSigned(by: issuer) }) else {
            return .unknown(X509_V_ERR_CRL_SIGNATURE_FAILURE)
        }
        guard let number = X509_get0_serialNumber(certificate) else { return .unknown(X509_V_ERR_UNSPECIFIED) }
        if list.serialNumbers.contains(SerialNumbers.key(of: number)) { return .revoked }
        if list.edition.published > now { return .unknown(X509_V_ERR_CRL_NOT_YET_VALID) }
        if list.nextUpdate <= now { return .unknown(X509_V_ERR_CRL_HAS_EXPIRED) }
        return .good
    }

    private static func hasExpired(_ authority: OpaquePointer, now: Int64) -> Bool {
        PeerCertificate.seconds(X509_get0_notAfter(authority)).map { $0 < now } ?? false
    }

    /// Without a keyUsage a key is for everything.
    private static func maySignLists(_ authority: OpaquePointer) -> Bool {
        X509_get_key_usage(authority) & UInt32(KU_CRL_SIGN) != 0
    }

    private static func name(_ name: OpaquePointer?) -> String {
        "CN=\(PeerCertificate.commonName(of: name).map(TLSEngine.printable) ?? "?")"
    }
}
