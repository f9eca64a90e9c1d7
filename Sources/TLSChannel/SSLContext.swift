// SPDX-License-Identifier: Apache-2.0

import CConductorOpenSSL

/// The part of a ``TLSContext`` that its connections keep: OpenSSL's `SSL_CTX` and the objects that it points to. It
/// has no revocation lists, which may be long and are replaced often.
// @unchecked: the SSL_CTX and the ALPN list are written only while a TLSContext is created. OpenSSL counts references
// and locks the data that connections on several threads share.
final class SSLContext: @unchecked Sendable {
    let configuration: TLSConfiguration
    let pointer: OpaquePointer
    /// The authorities that it verifies peers with.
    let anchors: TrustAnchors
    private let protocols: ApplicationProtocols

    /// Takes ownership of a complete SSL_CTX, in which the protocols are installed.
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
