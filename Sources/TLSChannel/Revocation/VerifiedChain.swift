// SPDX-License-Identifier: Apache-2.0

import CConductorOpenSSL

/// The certificates of a peer that a handshake has verified: the peer's own first, the authority's last.
// @unchecked: the certificates are never changed, and OpenSSL counts references across threads.
package final class VerifiedChain: @unchecked Sendable {
    let certificates: [OpaquePointer]
    /// The stack of certificates that the peer has sent; nil if there are none. On a server it does not include the
    /// peer's own.
    private let sent: OpaquePointer?
    /// The time at which the first of them expires, in seconds since 1970 (UTC).
    let notAfter: Int64

    /// Copies a chain. Returns nil if OpenSSL does not return all of it, or a date cannot be read: nothing would be
    /// known about the revocation of the rest.
    ///
    /// - Parameter stack: the result of SSL_get0_verified_chain (nil before the handshake is complete) or of
    ///   X509_STORE_CTX_get0_chain.
    /// - Parameter sent: the certificates that the peer has sent, for a verification under other trust roots: the
    ///   result of SSL_get_peer_cert_chain.
    init?(_ stack: OpaquePointer?, sent: OpaquePointer? = nil) {
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
        self.sent = sent.flatMap { conductor_x509_stack_count($0) > 0 ? X509_chain_up_ref($0) : nil }
    }

    deinit {
        PEMDocument.free(self.certificates)
        conductor_x509_stack_free(self.sent)
    }

    /// Each certificate with its issuer's.
    var links: [(certificate: OpaquePointer, issuer: OpaquePointer)] { Self.links(self.certificates) }

    /// Returns each certificate of a path with its issuer's. A root is its own issuer, so that it can be revoked by its
    /// own list. An authority that another one has issued is not its own issuer, because its serial number is from the
    /// other one.
    static func links(
        _ certificates: [OpaquePointer]
    ) -> [(certificate: OpaquePointer, issuer: OpaquePointer)] {
        let issuers = certificates.dropFirst() + certificates.suffix(1).filter(self.isSelfIssued)
        return zip(certificates, issuers).map { ($0, $1) }
    }

    static func isSelfIssued(_ certificate: OpaquePointer) -> Bool {
        X509_NAME_cmp(X509_get_subject_name(certificate), X509_get_issuer_name(certificate)) == 0
    }

    /// Verifies the certificates that the peer has sent as a handshake under this context would, except for a server's
    /// name and revocation.
    ///
    /// It takes as long as a few signatures, and may be called on any thread.
    ///
    /// - Returns: the chain that is valid under this context; nil if there is none.
    func verified(under context: SSLContext) -> VerifiedChain? {
        guard let leaf = self.certificates.first, let store = X509_STORE_CTX_new() else { return nil }
        defer {
            X509_STORE_CTX_free(store)
            OpenSSLErrorStack.clear()
        }
        // The same steps as OpenSSL's in a handshake.
        guard X509_STORE_CTX_init(store, SSL_CTX_get_cert_store(context.pointer), leaf, self.sent) == 1 else {
            return nil
        }
        let parameters = X509_STORE_CTX_get0_param(store)
        X509_VERIFY_PARAM_set_auth_level(parameters, SSL_CTX_get_security_level(context.pointer))
        X509_STORE_CTX_set_default(store, context.configuration.role == .server ? "ssl_client" : "ssl_server")
        guard X509_VERIFY_PARAM_set1(parameters, SSL_CTX_get0_param(context.pointer)) == 1, X509_verify_cert(store) == 1
        else { return nil }
        return VerifiedChain(X509_STORE_CTX_get0_chain(store), sent: self.sent)
    }
}
