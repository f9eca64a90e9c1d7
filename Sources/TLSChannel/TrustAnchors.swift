// SPDX-License-Identifier: Apache-2.0

import CConductorOpenSSL

/// The authorities that a context trusts. Each may end a chain, whether it is a root or another authority issued it.
// @unchecked: the certificates are never changed, and OpenSSL counts references across threads.
final class TrustAnchors: @unchecked Sendable {
    /// SHA-256 of the text that they were read from.
    let digest: [UInt8]
    let certificates: [OpaquePointer]
    /// The path above each authority that another trusted one has issued, by index: its issuer, then that one's issuer,
    /// and so on.
    private let issuers: [Int: [Int]]

    /// Reads the authorities. Throws `.malformedPEM`, and `.invalidConfiguration` for a certificate that is not an
    /// authority's.
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
                "\(document.name): certificate number \(index + 1), CN=\(name), is not an authority's (no CA:TRUE), and every certificate"
                    + " there is trusted; remove it, and add the authority that issued it")
        }
    }

    deinit {
        PEMDocument.free(self.certificates)
    }

    /// Whether this certificate is one of the authorities.
    func contains(_ certificate: OpaquePointer) -> Bool {
        self.certificates.contains { X509_cmp($0, certificate) == 0 }
    }

    /// Returns the last certificate of a chain with its issuer, that issuer with its own, and so on, as far as they are
    /// trusted.
    ///
    /// A chain ends with the first trusted authority. A trusted authority above that one may have revoked it.
    func links(above anchor: OpaquePointer) -> [(certificate: OpaquePointer, issuer: OpaquePointer)] {
        guard !self.issuers.isEmpty, let index = self.certificates.firstIndex(where: { X509_cmp($0, anchor) == 0 }),
            let above = self.issuers[index]
        else { return [] }
        let path = [anchor] + above.map { self.certificates[$0] }
        return VerifiedChain.links(path)
    }

    /// Returns the time at which the certificate expires, in seconds since 1970; the maximum if it cannot be read.
    private static func end(_ certificate: OpaquePointer) -> Int64 {
        PeerCertificate.seconds(X509_get0_notAfter(certificate)) ?? .max
    }

    private static func issuers(_ certificates: [OpaquePointer]) -> [Int: [Int]] {
        var direct: [Int: Int] = [:]
        for (index, certificate) in certificates.enumerated() where !VerifiedChain.isSelfIssued(certificate) {
            // A renewed authority is listed several times. It has expired only when the last of its certificates has.
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
