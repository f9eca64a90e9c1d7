import CConductorOpenSSL

/// The authorities that a context trusts. Each may end a chain, whether it is a root or was issued by another authority.
// @unchecked: the certificates are never changed, and OpenSSL counts references across threads.
final class TrustAnchors: @unchecked Sendable {
    /// SHA-256 of the text that they were read from.
    let digest: [UInt8]
    let certificates: [OpaquePointer]
    /// Of those that another one has issued: its issuer, and the issuer's if that one was issued by another too, and so on.
    private let issuers: [Int: [Int]]

    /// Throws `.malformedPEM`, and `.invalidConfiguration` for a certificate that is no authority's.
    init(_ document: borrowing PEMDocument) throws(TLSError) {
        self.digest = try document.digest()
        let certificates = try document.certificates()
        self.issuers = Self.issuers(certificates)
        self.certificates = certificates
        // All the object's fields are set: from here on, deinit cleans up after a throw.
        for (index, certificate) in certificates.enumerated() where X509_check_ca(certificate) == 0 {
            let name =
                PeerCertificate.commonName(of: X509_get_subject_name(certificate)).map(TLSEngine.printable) ?? "?"
            throw TLSError(
                .invalidConfiguration,
                "\(document.name): certificate number \(index + 1), CN=\(name), is no authority's (no CA:TRUE), and what stands"
                    + " there is trusted; take it out, and name the authority that has issued it")
        }
    }

    deinit {
        PEMDocument.free(self.certificates)
    }

    /// Whether this certificate is one of them.
    func contains(_ certificate: OpaquePointer) -> Bool {
        self.certificates.contains { X509_cmp($0, certificate) == 0 }
    }

    /// The chain's end with its issuer, and that one with its own, as far as they are known here.
    ///
    /// A chain ends with the first authority that is trusted. One above it that is trusted too may have revoked it.
    func links(above anchor: OpaquePointer) -> [(certificate: OpaquePointer, issuer: OpaquePointer)] {
        guard !self.issuers.isEmpty, let index = self.certificates.firstIndex(where: { X509_cmp($0, anchor) == 0 }),
            let above = self.issuers[index]
        else { return [] }
        let path = [anchor] + above.map { self.certificates[$0] }
        return VerifiedChain.links(path)
    }

    /// When the certificate expires, in seconds since 1970.
    private static func end(_ certificate: OpaquePointer) -> Int64 {
        PeerCertificate.seconds(X509_get0_notAfter(certificate)) ?? .max
    }

    private static func issuers(_ certificates: [OpaquePointer]) -> [Int: [Int]] {
        var direct: [Int: Int] = [:]
        for (index, certificate) in certificates.enumerated() where !VerifiedChain.isSelfIssued(certificate) {
            // An authority that was renewed stands here several times. It has expired once the last of them has.
            direct[index] = certificates.indices.filter { other in
                other != index && X509_check_issued(certificates[other], certificate) == X509_V_OK
                    && X509_verify(certificate, X509_get0_pubkey(certificates[other])) == 1
            }.max { Self.end(certificates[$0]) < Self.end(certificates[$1]) }
        }
        OpenSSLErrorStack.clear()
        return direct.mapValues { first in
            var path = [first]
            // Two authorities may have issued each other.
            while let last = path.last, let next = direct[last], !path.contains(next) { path.append(next) }
            return path
        }
    }
}
