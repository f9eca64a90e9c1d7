import CConductorOpenSSL

/// What a connection keeps of the ``TLSContext`` that it began with: OpenSSL's `SSL_CTX` and what that points to. No revocation
/// lists, which may be long and are replaced often.
// @unchecked: the SSL_CTX and the ALPN list are written only while a TLSContext is made; OpenSSL counts references and locks
// what connections on several threads share.
final class SSLContext: @unchecked Sendable {
    let configuration: TLSConfiguration
    let pointer: OpaquePointer
    /// What it verifies peers by.
    let anchors: TrustAnchors
    private let protocols: ApplicationProtocols

    /// Takes an SSL_CTX that is ready, in which the protocols are installed.
    init(
        taking pointer: OpaquePointer, _ configuration: TLSConfiguration, _ anchors: TrustAnchors,
        _ protocols: ApplicationProtocols
    ) {
        self.pointer = pointer
        self.anchors = anchors
        self.configuration = configuration
        self.protocols = protocols
    }

    deinit {
        SSL_CTX_free(self.pointer)
    }
}
