// SPDX-License-Identifier: Apache-2.0

import CConductorOpenSSL

/// The revocation lists of a configuration. Each is verified once, and gives the same result for a handshake and for an
/// open connection.
///
/// The lists are not part of an `SSL_CTX`: replaced lists are freed even while connections that began under them are
/// open.
package final class RevocationLists: Sendable {
    /// The status of one certificate according to the lists.
    private enum Finding {
        case revoked
        case good
        /// The status cannot be determined, for this reason (X509_V_ERR_…).
        case unknown(Int32)
    }

    /// The lists, newest first. Of an authority's lists whose signer is known, only the newest is kept.
    let lists: [RevocationList]
    /// SHA-256 of the text.
    let digest: [UInt8]
    /// The trusted authorities.
    private let anchors: TrustAnchors

    /// The number of certificates that the lists name, in total.
    package var count: Int { self.lists.reduce(0) { $0 + $1.serialNumbers.count } }

    /// Reads the lists, and verifies those of the trusted authorities. A list of another issuer must be of an authority
    /// between a peer and a trusted one; it is verified when a peer sends that authority's certificate.
    ///
    /// Throws `.malformedPEM`; `.invalidConfiguration` for a trusted certificate that is not an authority's; and
    /// `.revocationListRefused` for a list that cannot be used or is not signed by the authority of its name, for an
    /// authority without a list or without the right to sign one, and for lists of one authority whose order is
    /// unknown.
    init(_ document: borrowing PEMDocument, authorities: borrowing PEMDocument) throws(TLSError) {
        self.digest = try document.digest()
        self.anchors = try TrustAnchors(authorities)
        let roots = self.anchors.certificates
        let lists = try Self.read(document)
        for (list, name) in lists {
            let namedRoots = roots.filter { list.isNamed(after: $0) }
            guard namedRoots.isEmpty || namedRoots.contains(where: { list.isSigned(by: $0) }) else {
                throw TLSError(
                    .revocationListRefused,
                    "\(name) is not signed by the authority of that name in \(authorities.name)")
            }
        }
        // An expired authority needs no list, since none of its peers is accepted.
        for root in roots where X509_check_ca(root) != 0 && X509_cmp_current_time(X509_get0_notAfter(root)) > 0 {
            let subject = Self.name(X509_get_subject_name(root))
            guard Self.maySignLists(root) else {
                throw TLSError(
                    .revocationListRefused,
                    "\(subject) of \(authorities.name) may not sign revocation lists (its keyUsage lacks cRLSign), so all of its"
                        + " peers would be rejected; reissue it with cRLSign")
            }
            guard lists.contains(where: { $0.list.isNamed(after: root) && $0.list.isSigned(by: root) }) else {
                throw TLSError(
                    .revocationListRefused,
                    "\(document.name) holds no list of the authority \(subject) of \(authorities.name); every authority needs"
                        + " one, even if it is empty")
            }
        }
        try Self.checkOrder(lists)
        self.lists = Self.newestFirst(lists.map(\.list))
    }

    /// Checks that the latest of several lists of one authority is known.
    private static func checkOrder(_ lists: [(list: RevocationList, name: String)]) throws(TLSError) {
        for (index, (list, name)) in lists.enumerated() {
            for (other, otherName) in lists[..<index]
            where list.isOfTheSameAuthority(as: other) && !list.edition.isComparable(with: other.edition) {
                throw TLSError(
                    .revocationListRefused,
                    "\(name) and \(otherName) are of one authority, and only one of them has a crlNumber, so it"
                        + " is unknown which is newer; remove one")
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
        // Of two equally new lists, the later one in the file comes first.
        let sorted = lists.reversed().sorted { $0.isNewer(than: $1) }
        return sorted.enumerated().filter { index, list in
            !sorted[..<index].contains { $0.isKnown && list.isKnown && $0.isOfTheSameAuthority(as: list) }
        }.map(\.element)
    }

    /// The expiry of the lists; of several lists of one authority, only the newest list's.
    var expiries: [TLSExpiry] {
        self.lists.enumerated().compactMap { index, list -> TLSExpiry? in
            self.lists[..<index].contains { $0.isOfTheSameAuthority(as: list) } ? nil : list.expiry
        }
    }

    /// Whether a certificate of this chain is revoked. A list past its nextUpdate still counts: the certificates that
    /// it names remain revoked.
    ///
    /// The check is cheap enough for every open connection.
    package func contains(_ chain: VerifiedChain) -> Bool {
        self.links(of: chain).contains { certificate, issuer in
            if case .revoked = self.lookUp(certificate, issuer, now: 0) { true } else { false }
        }
    }

    /// Returns the reason to reject a peer with this chain; nil to accept it. An unknown status is a reason.
    ///
    /// - Returns: the certificate and its depth, the peer's own being 0, and the reason (X509_V_ERR_…).
    func rejection(
        of chain: VerifiedChain, now: Int64
    ) -> (depth: Int, certificate: OpaquePointer, reason: Int32)? {
        let length = chain.certificates.count
        for (depth, link) in self.links(of: chain).enumerated() {
            switch self.lookUp(link.certificate, link.issuer, now: now) {
            case .good: continue
            case .revoked: return (depth, link.certificate, X509_V_ERR_CERT_REVOKED)
            case .unknown(let reason):
                // The chain does not depend on an authority above its end. An expired one needs no list there, as when
                // the lists are loaded. The certificates that its list names are revoked nevertheless.
                if depth + 1 >= length, Self.hasExpired(link.issuer, now: now) { continue }
                return (depth, link.certificate, reason)
            }
        }
        return nil
    }

    /// Returns the chain's certificates with their issuers. If another trusted authority has issued the last one, the
    /// path above it follows: a chain is looked up as a whole, even where it could end earlier.
    private func links(of chain: VerifiedChain) -> [(certificate: OpaquePointer, issuer: OpaquePointer)] {
        chain.links + (chain.certificates.last.map(self.anchors.links(above:)) ?? [])
    }

    private func lookUp(_ certificate: OpaquePointer, _ issuer: OpaquePointer, now: Int64) -> Finding {
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

    /// Whether the authority may sign revocation lists. A certificate without a keyUsage allows every use.
    private static func maySignLists(_ authority: OpaquePointer) -> Bool {
        X509_get_key_usage(authority) & UInt32(KU_CRL_SIGN) != 0
    }

    private static func name(_ name: OpaquePointer?) -> String {
        "CN=\(PeerCertificate.commonName(of: name).map(TLSEngine.printable) ?? "?")"
    }
}
