// SPDX-License-Identifier: Apache-2.0

import CConductorOpenSSL
import Glibc

// Checks whether the peer's certificate is issued for a peer's role, and whether it is revoked. Both checks run only
// after its chain is verified, so that unverified peers cause no lookups.
extension TLSEngine {
    /// Replaces OpenSSL's verification, which it runs first. The error that it sets in the store's context selects the
    /// alert that the peer receives.
    static let verifyPeer: @convention(c) (OpaquePointer?, UnsafeMutableRawPointer?) -> Int32 = { store, _ in
        guard X509_verify_cert(store) == 1 else { return 0 }
        guard let store, let ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()),
            let engine = SSL_get_ex_data(OpaquePointer(ssl), 0)
        else {
            X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION)
            return 0
        }
        let peer = Unmanaged<TLSEngine>.fromOpaque(engine).takeUnretainedValue()
        return peer.checkUsage(store) && peer.lookUp(store) ? 1 : 0
    }

    private func checkUsage(_ store: OpaquePointer) -> Bool {
        guard let certificate = X509_STORE_CTX_get0_cert(store) else {
            X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION)
            return false
        }
        let role: TLSRole = self.context.configuration.role == .server ? .client : .server
        guard let objection = CertificateUsage(x509: certificate).objection(as: role) else { return true }
        self.objection = objection
        self.rejectedCertificate = (0, PeerCertificate.commonName(of: X509_get_subject_name(certificate)))
        X509_STORE_CTX_set_error(store, X509_V_ERR_INVALID_PURPOSE)
        return false
    }

    private func lookUp(_ store: OpaquePointer) -> Bool {
        // After the handshake there are no lists to consult.
        guard !self.isRevocationChecked else {
            X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION)
            return false
        }
        guard let lists = self.revocationLists else {
            self.isRevocationChecked = true
            return true
        }
        guard let chain = VerifiedChain(X509_STORE_CTX_get0_chain(store)) else {
            X509_STORE_CTX_set_error(store, X509_V_ERR_OUT_OF_MEM)
            return false
        }
        guard let rejection = lists.rejection(of: chain, now: Int64(time(nil))) else {
            self.isRevocationChecked = true
            return true
        }
        let subject = X509_get_subject_name(rejection.certificate)
        self.rejectedCertificate = (Int32(rejection.depth), PeerCertificate.commonName(of: subject))
        X509_STORE_CTX_set_error(store, rejection.reason)
        return false
    }
}
