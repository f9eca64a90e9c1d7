// SPDX-License-Identifier: Apache-2.0

import CConductorOpenSSL

/// The settings and keys that many connections share, loaded and checked once: an OpenSSL `SSL_CTX`, and the revocation
/// lists that handshakes consult.
///
/// To change a certificate in a running process, create a new context and use it for new connections. Open connections
/// keep the context that they began with, except for its lists and authorities (``LiveTLSContext``). If only the lists
/// have changed, ``replaced(by:)`` keeps the rest.
package final class TLSContext: Sendable {
    /// The configuration that the context was made from.
    package var configuration: TLSConfiguration { self.ssl.configuration }
    /// The time at which this side's own certificate expires, in seconds since 1970 (UTC). It may be in the past: peers
    /// will reject the certificate, but the context is created nevertheless, so that the operator sees a warning and
    /// not a dead service.
    package var certificateNotAfter: Int64 { self.certificate.notAfter }
    /// This side's own certificate.
    package let certificate: PeerCertificate
    /// The certificates, authorities and revocation lists of the context, with their expiry.
    package let expiries: [TLSExpiry]

    /// The material that the context was made from; its successor may keep parts of it.
    let material: TLSMaterial
    /// The part of the context that its connections keep.
    let ssl: SSLContext
    /// The lists that its connections are checked against; nil if there are none.
    var revocationLists: RevocationLists? { self.material.revocationLists }

    /// Reads the files and checks that they belong together.
    ///
    /// Throws `.fileNotFound`, `.fileUnreadable`, `.fileExposed`, `.malformedPEM`, `.keyMismatch`,
    /// `.revocationListRefused` or `.invalidConfiguration`; the message names the field and the file. An expired
    /// certificate or list is not an error.
    package convenience init(configuration: TLSConfiguration) throws(TLSError) {
        try self.init(configuration: configuration, material: TLSMaterial(configuration))
    }

    /// Creates a context from texts that were read already.
    init(configuration: TLSConfiguration, material: TLSMaterial) throws(TLSError) {
        OpenSSLErrorStack.clear()
        let protocols = try ApplicationProtocols(configuration.applicationProtocols)
        let method = configuration.role == .server ? TLS_server_method() : TLS_client_method()
        guard let pointer = SSL_CTX_new(method) else { throw TLSError.internalFailure("make a TLS context") }
        do throws(TLSError) {
            try Self.applyPolicy(to: pointer, configuration)
            var expiries: [TLSExpiry] = []
            self.certificate = try Self.loadIdentity(into: pointer, material, configuration.role, &expiries)
            let anchors = try TrustAnchors(material.roots)
            try Self.load(anchors, into: pointer, material.roots.name, configuration, &expiries)
            self.expiries = expiries + (material.revocationLists?.expiries ?? [])
            try protocols.install(in: pointer, role: configuration.role)
            self.ssl = SSLContext(taking: pointer, configuration, anchors, protocols)
        } catch {
            SSL_CTX_free(pointer)
            throw error
        }
        self.material = material
    }

    private init(_ context: TLSContext, _ material: TLSMaterial) {
        let lists = material.revocationLists
        self.certificate = context.certificate
        self.expiries = context.expiries.filter { $0.kind != .revocationList } + (lists?.expiries ?? [])
        self.material = material
        self.ssl = context.ssl
    }

    /// Returns the context of this material that replaces this one. It has the same `SSL_CTX` if only the lists differ.
    func replaced(by material: TLSMaterial) throws(TLSError) -> TLSContext {
        material.identityFingerprint == self.material.identityFingerprint
            ? TLSContext(self, material) : try TLSContext(configuration: self.configuration, material: material)
    }

    /// Returns this context with other lists, which were verified with the same authorities.
    func with(revocationLists lists: RevocationLists) -> TLSContext {
        TLSContext(self, self.material.with(revocationLists: lists))
    }

    /// The maximum number of authorities in a peer's chain, including the trusted one.
    static let maximumAuthorities = 5

    private static func applyPolicy(to context: OpaquePointer, _ configuration: TLSConfiguration) throws(TLSError) {
        conductor_ssl_ctx_harden(context)
        let version = configuration.minimumVersion == .tls13 ? TLS1_3_VERSION : TLS1_2_VERSION
        guard conductor_ssl_ctx_set_min_version(context, version) == 1 else {
            throw TLSError.internalFailure("set TLS \(configuration.minimumVersion.rawValue) as the oldest version")
        }
        // The operator's system policy may be stricter, never weaker.
        SSL_CTX_set_security_level(context, max(2, SSL_CTX_get_security_level(context)))
        // The groups and the default version are those of Mozilla's "modern" configuration.
        guard conductor_ssl_ctx_set_groups(context, "X25519:P-256:P-384") == 1 else {
            throw TLSError.internalFailure("choose the key exchange's groups")
        }
        // For TLS 1.2. The cipher suites of TLS 1.3 are all secure, and the system's policy chooses them.
        guard SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!eNULL:!PSK") == 1 else {
            throw TLSError.internalFailure("choose the TLS 1.2 ciphers")
        }
        // For a client that tries to resume a session: without a session ID context OpenSSL fails instead of doing a
        // full handshake.
        let sessionContext: [UInt8] = Array("conductor".utf8)
        SSL_CTX_set_session_id_context(context, sessionContext, UInt32(sessionContext.count))
        // OpenSSL's depth counts neither the peer's certificate nor the trusted one.
        SSL_CTX_set_verify_depth(context, Int32(self.maximumAuthorities - 1))
        guard conductor_ssl_ctx_trust_issuing_authorities(context) == 1 else {
            throw TLSError.internalFailure("trust the authorities that are named")
        }
        SSL_CTX_set_verify(
            context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, TLSEngine.recordVerificationFailure)
        SSL_CTX_set_cert_verify_callback(context, TLSEngine.verifyPeer, nil)
    }

    private static func loadIdentity(
        into context: OpaquePointer, _ material: TLSMaterial, _ role: TLSRole, _ expiries: inout [TLSExpiry]
    ) throws(TLSError) -> PeerCertificate {
        let (chainName, keyName) = (material.chain.name, material.key.name)
        let chain = try material.chain.certificates()
        defer { PEMDocument.free(chain) }
        let key = try material.key.privateKey()
        defer { EVP_PKEY_free(key) }

        guard X509_check_private_key(chain[0], key) == 1 else {
            OpenSSLErrorStack.clear()
            throw TLSError(
                .keyMismatch,
                "\(keyName) does not belong to the first certificate of \(chainName);"
                    + " this side's own certificate must come first, and the key must be the one it was issued for")
        }
        guard SSL_CTX_use_certificate(context, chain[0]) == 1 else {
            throw self.rejectionError(chainName)
        }
        try self.checkIdentity(chain, chainName, role)
        for intermediate in chain.dropFirst() {
            guard conductor_ssl_ctx_add_chain_certificate(context, intermediate) == 1 else {
                throw self.rejectionError(chainName)
            }
        }
        guard SSL_CTX_use_PrivateKey(context, key) == 1 else { throw self.rejectionError(keyName) }
        for (index, one) in chain.enumerated() {
            if let expiry = TLSExpiry(index == 0 ? .certificate : .intermediate, x509: one, source: material.chain.name)
            {
                expiries.append(expiry)
            }
        }
        guard let certificate = PeerCertificate(x509: chain[0]) else {
            throw TLSError(.malformedPEM, "\(chainName): the first certificate has unreadable dates")
        }
        return certificate
    }

    /// Checks this side's own certificate for reasons why peers would reject it: a service that does not start is
    /// better than one that no peer can connect to.
    private static func checkIdentity(
        _ chain: [OpaquePointer], _ name: String, _ role: TLSRole
    ) throws(TLSError) {
        var objection = CertificateUsage(x509: chain[0]).objection(as: role)
        let purpose = role == .server ? X509_PURPOSE_SSL_SERVER : X509_PURPOSE_SSL_CLIENT
        if objection == nil, X509_check_purpose(chain[0], purpose, 0) != 1 {
            objection = "its key usage does not allow it; reissue it with the key usage digitalSignature"
        }
        if objection == nil, chain.count > self.maximumAuthorities + 1 {
            objection =
                "\(chain.count - 1) authorities follow it, but a chain may have at most \(self.maximumAuthorities); remove those"
                + " that are not between it and a trusted one"
        }
        if let objection {
            throw TLSError(
                .invalidConfiguration, "\(name): peers reject this side's own certificate (the first one): \(objection)"
            )
        }
    }

    private static func load(
        _ anchors: TrustAnchors, into context: OpaquePointer, _ name: String, _ configuration: TLSConfiguration,
        _ expiries: inout [TLSExpiry]
    ) throws(TLSError) {
        let store = SSL_CTX_get_cert_store(context)
        for root in anchors.certificates {
            guard X509_STORE_add_cert(store, root) == 1 else { throw self.rejectionError(name) }
            // A client with several certificates chooses which one to send by these names.
            if configuration.role == .server { SSL_CTX_add_client_CA(context, root) }
            if let expiry = TLSExpiry(.authority, x509: root, source: name) { expiries.append(expiry) }
        }
    }

    private static func rejectionError(_ name: String) -> TLSError {
        TLSError(
            .invalidConfiguration,
            "OpenSSL rejects \(name), most likely because its key or its signature is too weak; create a new one"
                + " (EC P-256 or RSA of at least 2048 bits, SHA-256)",
            openSSLErrors: OpenSSLErrorStack.take().texts)
    }
}
