import CConductorOpenSSL

/// The settings and keys that many connections share: an OpenSSL `SSL_CTX`, loaded and checked once.
///
/// To change a certificate in a running process, make a new context and use it for new connections; those that are open
/// keep the one they started with.
// @unchecked: the SSL_CTX and the ALPN list are written only in init; OpenSSL counts references and locks what
// connections on several threads share.
package final class TLSContext: @unchecked Sendable {
    /// What the context was made from.
    package let configuration: TLSConfiguration
    /// When this side's own certificate expires, in seconds since 1970 (UTC). It may already have: peers will refuse it,
    /// but making the context does not fail, so that the operator sees a warning and not a dead service.
    package let certificateNotAfter: Int64
    /// This side's own certificate.
    package let certificate: PeerCertificate

    let pointer: OpaquePointer
    private let protocols: ApplicationProtocols

    /// Reads the files and checks that they belong together.
    ///
    /// Throws `.fileNotFound`, `.fileUnreadable`, `.malformedPEM`, `.keyMismatch` or `.invalidConfiguration`; the message
    /// names the field and the file.
    package init(configuration: TLSConfiguration) throws(TLSError) {
        OpenSSLErrorStack.clear()
        let protocols = try ApplicationProtocols(configuration.applicationProtocols)
        let method = configuration.role == .server ? TLS_server_method() : TLS_client_method()
        guard let pointer = SSL_CTX_new(method) else { throw TLSError.internalFailure("make a TLS context") }
        do throws(TLSError) {
            try Self.applyPolicy(to: pointer, configuration)
            self.certificate = try Self.loadIdentity(into: pointer, configuration)
            try Self.loadTrustRoots(into: pointer, configuration)
            try protocols.install(in: pointer, role: configuration.role)
        } catch {
            SSL_CTX_free(pointer)
            throw error
        }
        self.certificateNotAfter = self.certificate.notAfter
        self.configuration = configuration
        self.protocols = protocols
        self.pointer = pointer
    }

    deinit {
        SSL_CTX_free(self.pointer)
    }

    private static func applyPolicy(to context: OpaquePointer, _ configuration: TLSConfiguration) throws(TLSError) {
        conductor_ssl_ctx_harden(context)
        let version = configuration.minimumVersion == .tls13 ? TLS1_3_VERSION : TLS1_2_VERSION
        guard conductor_ssl_ctx_set_min_version(context, version) == 1 else {
            throw TLSError.internalFailure("set TLS \(configuration.minimumVersion.rawValue) as the oldest version")
        }
        // The operator's system policy may be stricter, never laxer.
        SSL_CTX_set_security_level(context, max(2, SSL_CTX_get_security_level(context)))
        // For TLS 1.2; the suites of TLS 1.3 are all sound and stay with the system's policy.
        guard SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!eNULL:!PSK") == 1 else {
            throw TLSError.internalFailure("choose the TLS 1.2 ciphers")
        }
        // Only matters to a client that tries to resume: without a session context that is an error, not a handshake.
        let sessionContext: [UInt8] = Array("conductor".utf8)
        SSL_CTX_set_session_id_context(context, sessionContext, UInt32(sessionContext.count))
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, TLSEngine.noteVerification)
    }

    private static func loadIdentity(
        into context: OpaquePointer, _ configuration: TLSConfiguration
    ) throws(TLSError) -> PeerCertificate {
        let chainDocument = try PEMDocument("certificate chain", configuration.certificateChain)
        let keyDocument = try PEMDocument("private key", configuration.privateKey)
        let chain = try chainDocument.certificates()
        defer { PEMDocument.free(chain) }
        let key = try keyDocument.privateKey()
        defer { EVP_PKEY_free(key) }

        guard X509_check_private_key(chain[0], key) == 1 else {
            OpenSSLErrorStack.clear()
            throw TLSError(
                .keyMismatch,
                "\(keyDocument.name) does not belong to the first certificate of \(chainDocument.name);"
                    + " this side's own certificate must come first, and the key must be the one it was issued for")
        }
        guard SSL_CTX_use_certificate(context, chain[0]) == 1 else {
            throw self.refused(chainDocument.name)
        }
        for intermediate in chain.dropFirst() {
            guard conductor_ssl_ctx_add_chain_certificate(context, intermediate) == 1 else {
                throw self.refused(chainDocument.name)
            }
        }
        guard SSL_CTX_use_PrivateKey(context, key) == 1 else { throw self.refused(keyDocument.name) }
        guard let certificate = PeerCertificate(x509: chain[0]) else {
            throw TLSError(.malformedPEM, "\(chainDocument.name): the first certificate has unreadable dates")
        }
        return certificate
    }

    private static func loadTrustRoots(
        into context: OpaquePointer, _ configuration: TLSConfiguration
    ) throws(TLSError) {
        let document = try PEMDocument("trust roots", configuration.trustRoots)
        let roots = try document.certificates()
        defer { PEMDocument.free(roots) }
        let store = SSL_CTX_get_cert_store(context)
        for root in roots {
            guard X509_STORE_add_cert(store, root) == 1 else { throw self.refused(document.name) }
            // The names tell a client with several certificates which one to send.
            if configuration.role == .server { SSL_CTX_add_client_CA(context, root) }
        }
    }

    private static func refused(_ name: String) -> TLSError {
        TLSError(
            .invalidConfiguration,
            "OpenSSL refuses \(name), most likely because its key or its signature is too weak; make a new one"
                + " (EC P-256 or RSA of 2048 bits and more, SHA-256)",
            openSSLErrors: OpenSSLErrorStack.take().texts)
    }
}
