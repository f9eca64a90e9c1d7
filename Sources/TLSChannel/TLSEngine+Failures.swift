// SPDX-License-Identifier: Apache-2.0

import CConductorOpenSSL

// Errors made from OpenSSL's reasons, worded so that an operator knows which file or host to look at.
extension TLSEngine {
    /// Records the certificate at which verification failed, for the error. OpenSSL calls it for each certificate of a
    /// chain. It never changes the result.
    static let recordVerificationFailure: @convention(c) (Int32, OpaquePointer?) -> Int32 = { accepted, store in
        guard accepted == 0, let store,
            let ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()),
            let engine = SSL_get_ex_data(OpaquePointer(ssl), 0)
        else { return accepted }
        let certificate = X509_STORE_CTX_get_current_cert(store)
        let subject = certificate.flatMap { PeerCertificate.commonName(of: X509_get_subject_name($0)) }
        Unmanaged<TLSEngine>.fromOpaque(engine).takeUnretainedValue().rejectedCertificate =
            (X509_STORE_CTX_get_error_depth(store), subject)
        return accepted
    }

    /// Whether the peer's first bytes can be the start of a TLS record.
    var looksLikeTLS: Bool {
        guard let first = self.firstBytes.first else { return true }
        return (0x14...0x17).contains(first) && (self.firstBytes.count < 2 || self.firstBytes[1] == 3)
    }

    var notTLS: TLSError {
        let text = String(decoding: self.firstBytes, as: UTF8.self)
        let isHTTP = ["GET ", "POST", "HEAD", "PUT ", "OPTI", "CONN", "HTTP", "PRI "].contains { text.hasPrefix($0) }
        return TLSError(
            .notTLS,
            isHTTP
                ? "the peer speaks plain HTTP; this is a TLS port that does not carry HTTP"
                : "the peer does not speak TLS; check the port, and that the other side has TLS switched on")
    }

    func handshakeFailure(_ stack: OpenSSLErrorStack) -> TLSError {
        if !self.looksLikeTLS { return self.notTLS }
        if let alert = stack.peerAlert { return self.alertError(alert, stack) }
        if stack.contains(sslReason: SSL_R_CERTIFICATE_VERIFY_FAILED) { return self.verificationFailure(stack) }
        if stack.contains(sslReason: SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
            return TLSError(
                .verificationFailed,
                "the client sent no certificate; configure it with a certificate and its private key",
                openSSLErrors: stack.texts)
        }
        if stack.contains(sslReason: SSL_R_UNSUPPORTED_PROTOCOL) || stack.contains(sslReason: SSL_R_WRONG_SSL_VERSION)
            || stack.contains(sslReason: SSL_R_VERSION_TOO_LOW)
        {
            return TLSError(
                .handshakeFailed,
                "protocol version: the peer has no TLS version that is accepted here"
                    + " (\(self.context.configuration.minimumVersion.rawValue) or newer)",
                openSSLErrors: stack.texts)
        }
        if stack.contains(sslReason: SSL_R_NO_APPLICATION_PROTOCOL) {
            let ours = self.context.configuration.applicationProtocols.joined(separator: ", ")
            return TLSError(
                .handshakeFailed,
                "application protocol: the client offers (by ALPN) none of those that are supported here: \(ours)",
                openSSLErrors: stack.texts)
        }
        if stack.contains(sslReason: SSL_R_NO_SHARED_CIPHER) {
            return TLSError(
                .handshakeFailed, "no shared cipher: the peer offers none that is accepted here",
                openSSLErrors: stack.texts)
        }
        return TLSError(
            .handshakeFailed, "the TLS handshake failed: \(stack.texts.last ?? "no reason given")",
            openSSLErrors: stack.texts)
    }

    func connectionFailure(_ stack: OpenSSLErrorStack) -> TLSError {
        if let alert = stack.peerAlert { return self.alertError(alert, stack) }
        return TLSError(
            .connectionFailed, "the TLS connection broke: \(stack.texts.last ?? "no reason given")",
            openSSLErrors: stack.texts)
    }

    private func verificationFailure(_ stack: OpenSSLErrorStack) -> TLSError {
        let result = self.verifyResult
        let reason =
            self.objection ?? X509_verify_cert_error_string(Int(result)).map { String(cString: $0) }
            ?? "error \(result)"
        var which = "the peer's certificate"
        if let rejected = self.rejectedCertificate {
            if rejected.depth > 0 { which = "the issuer number \(rejected.depth) of the peer's certificate" }
            if let subject = rejected.subject { which += " (CN=\(Self.printable(subject)))" }
        }
        let advice: String
        switch result {
        case X509_V_ERR_CERT_HAS_EXPIRED:
            advice = "; renew it"
        case X509_V_ERR_CERT_NOT_YET_VALID:
            advice = "; check the clocks of both sides"
        case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH:
            advice = "; connect by a name that it holds, or reissue it with this name as a subject alternative name"
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE,
            X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
            X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, X509_V_ERR_CERT_SIGNATURE_FAILURE:
            advice = "; its authority is unknown, check the trust roots (\(self.context.configuration.trustRoots))"
        case X509_V_ERR_CERT_REVOKED:
            advice = "; it is on a list of its issuer's (\(self.revocationListsName))"
        case X509_V_ERR_UNABLE_TO_GET_CRL, X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
            advice =
                "; add the list of its issuer, even if it is empty, to the revocation lists (\(self.revocationListsName))"
        case X509_V_ERR_CRL_HAS_EXPIRED:
            advice =
                "; its issuer's list is past its nextUpdate, and the issuer's peers are rejected until a newer list is installed"
                + " (\(self.revocationListsName))"
        case X509_V_ERR_CRL_NOT_YET_VALID:
            advice = "; check this machine's clock, and the revocation lists (\(self.revocationListsName))"
        case X509_V_ERR_CRL_SIGNATURE_FAILURE:
            advice =
                "; the list with its issuer's name was signed by another key (\(self.revocationListsName)); install the list that its issuer signed"
        case X509_V_ERR_KEYUSAGE_NO_CRL_SIGN:
            advice = "; reissue its issuer's certificate with the key usage cRLSign"
        case X509_V_ERR_INVALID_PURPOSE where self.objection != nil:
            // The objection says what to do.
            advice = ""
        case X509_V_ERR_CERT_CHAIN_TOO_LONG:
            advice =
                "; its chain may have at most \(TLSContext.maximumAuthorities) authorities, including the trusted one"
        case X509_V_ERR_CA_MD_TOO_WEAK, X509_V_ERR_CA_KEY_TOO_SMALL, X509_V_ERR_EE_KEY_TOO_SMALL:
            advice = "; reissue it with EC P-256 or RSA of at least 2048 bits, and SHA-256"
        case X509_V_ERR_INVALID_PURPOSE:
            advice =
                "; it is not issued for this role; its extended key usage must be"
                + (self.context.configuration.role == .server ? " clientAuth" : " serverAuth")
        default:
            advice = ""
        }
        return TLSError(.verificationFailed, "\(which) was rejected: \(reason)\(advice)", openSSLErrors: stack.texts)
    }

    private var revocationListsName: String {
        self.context.configuration.revocationLists?.description ?? "not configured"
    }

    private func alertError(_ alert: Int32, _ stack: OpenSSLErrorStack) -> TLSError {
        let name = SSL_alert_desc_string_long(alert).map { String(cString: $0) } ?? "unknown"
        let advice: String
        switch alert {
        case SSL3_AD_NO_CERTIFICATE, TLS13_AD_CERTIFICATE_REQUIRED:
            advice = "; it wants a certificate from this side"
        case SSL_AD_BAD_CERTIFICATE, SSL_AD_UNSUPPORTED_CERTIFICATE, SSL_AD_CERTIFICATE_REVOKED,
            SSL_AD_CERTIFICATE_EXPIRED, SSL_AD_CERTIFICATE_UNKNOWN, SSL_AD_UNKNOWN_CA:
            advice = "; it does not accept this side's certificate"
        case SSL_AD_PROTOCOL_VERSION:
            advice = "; it does not accept this side's protocol version"
        case SSL_AD_NO_APPLICATION_PROTOCOL:
            advice = "; it speaks another application protocol (ALPN)"
        default:
            advice = ""
        }
        return TLSError(
            .refusedByPeer, "the peer ended the connection with the TLS alert \"\(name)\" (\(alert))\(advice)",
            openSSLErrors: stack.texts)
    }

    /// Returns text from an unverified peer in a form that is safe in a log line: escaped, at most 64 characters of it.
    static func printable(_ text: String) -> String {
        let escaped = text.unicodeScalars.prefix(64).map { $0.escaped(asASCII: true) }.joined()
        return escaped.replacing("\"", with: "")
    }
}
