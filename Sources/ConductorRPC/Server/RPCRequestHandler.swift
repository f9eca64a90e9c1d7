package import TLSSocket

/// Who stands at the other end of a connection.
package struct RPCPeer: Sendable {
    /// The certificate the peer proved to own; nil only where a test leaves TLS out.
    package var certificate: PeerCertificate?
    /// The peer's address, `ip:port`.
    package var remoteAddress: String
    /// The address the peer reached us under, `ip:port`.
    package var localAddress: String

    /// A peer of this certificate and these addresses.
    package init(certificate: PeerCertificate?, remoteAddress: String, localAddress: String) {
        self.certificate = certificate
        self.remoteAddress = remoteAddress
        self.localAddress = localAddress
    }
}

/// Carries out what peers ask for.
package protocol RPCRequestHandler: Sendable {
    /// Carries out one call.
    ///
    /// Called on the connection's event loop, so it must not block.
    ///
    /// - Parameters:
    ///   - call: what is asked for.
    ///   - peer: who asks.
    ///   - completion: to be called exactly once, on any thread: until then the call takes a place in the
    ///     connection's window, and a draining connection waits for it.
    func handle(_ call: RPCCall, from peer: RPCPeer, completion: @escaping @Sendable (RPCResult) -> Void)
}
