import CConductorOpenSSL

/// The certificates of a peer that a handshake has verified, its own first and the authority last.
// @unchecked: the certificates are never changed, and OpenSSL counts references across threads.
package final class VerifiedChain: @unchecked Sendable {
    let certificates: [OpaquePointer]
    /// When the first of them expires, in seconds since 1970 (UTC).
    let notAfter: Int64

    /// Nil when OpenSSL does not hand all of it out: of a part nobody could tell whether the rest is revoked.
    ///
    /// - Parameter stack: what SSL_get0_verified_chain returns, nothing before the handshake is complete; or
    ///   X509_STORE_CTX_get0_chain.
    init?(_ stack: OpaquePointer?) {
        guard let stack else { return nil }
        var certificates: [OpaquePointer] = []
        for index in 0..<conductor_x509_stack_count(stack) {
            guard let certificate = conductor_x509_stack_at(stack, index), X509_up_ref(certificate) == 1 else {
                PEMDocument.free(certificates)
                return nil
            }
            certificates.append(certificate)
        }
        let ends = certificates.map { PeerCertificate.seconds(X509_get0_notAfter($0)) }
        guard let first = ends.compactMap(\.self).min(), !ends.contains(nil) else {
            PEMDocument.free(certificates)
            return nil
        }
        self.certificates = certificates
        self.notAfter = first
    }

    deinit {
        PEMDocument.free(self.certificates)
    }

    /// Each certificate with its issuer's. The authority is its own: what it has revoked itself counts too.
    var links: [(certificate: OpaquePointer, issuer: OpaquePointer)] {
        let issuers = self.certificates.dropFirst() + self.certificates.suffix(1)
        return zip(self.certificates, issuers).map { ($0, $1) }
    }
}
