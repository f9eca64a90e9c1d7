import NIOCore
package import Notifications
package import TLSSocket

/// Who stands at the other end of a connection.
package struct RPCPeer: Sendable {
    /// The certificate the peer proved to own; nil only where a test leaves TLS out.
    package private(set) var certificate: PeerCertificate?
    /// Who that is.
    package private(set) var identity: PeerIdentity
    /// The sender of notifications that the peer's reports become. Made once for each connection.
    package private(set) var sender: NotificationSender
    /// The peer's address, `ip:port`.
    package var remoteAddress: String
    /// The address the peer reached us under, `ip:port`.
    package var localAddress: String
    /// The network that the peer's address is in; nil where a test has no socket.
    package var network: NetworkAddress?

    /// A peer of this certificate and these addresses.
    ///
    /// - Parameter identity: who it is; nil for the certificate's owner, whoever that is.
    package init(
        certificate: PeerCertificate?, identity: PeerIdentity? = nil, remoteAddress: String, localAddress: String
    ) {
        self.certificate = certificate
        let identity = identity ?? PeerIdentity(certificate)
        self.identity = identity
        self.sender = NotificationSender(key: identity.bits, name: identity.displayName)
        self.remoteAddress = remoteAddress
        self.localAddress = localAddress
    }

    /// The peer has proved to own this certificate.
    mutating func proved(_ certificate: PeerCertificate, to requestHandler: any RPCRequestHandler) {
        self.certificate = certificate
        self.identity = requestHandler.identity(of: certificate)
        self.sender = NotificationSender(key: self.identity.bits, name: self.identity.displayName)
    }

    /// The messages that its reports become count towards this share.
    mutating func has(_ share: any RPCGuestShare) {
        self.sender = NotificationSender(key: self.sender.key, name: self.sender.name) {
            share.published(bytes: $0, now: .now())
        }
    }
}

/// Carries out what peers ask for.
package protocol RPCRequestHandler: Sendable {
    /// Who goes by this certificate: for one share and one memory of message ids, over all certificates of one peer. Its names are
    /// whom the handler takes the peer for at each call.
    ///
    /// Called once a connection, on its event loop.
    func identity(of certificate: PeerCertificate) -> PeerIdentity

    /// Carries out one call.
    ///
    /// Called on the connection's event loop, so it must not block. The call may wait for ``flush()``.
    ///
    /// - Parameters:
    ///   - call: what is asked for.
    ///   - peer: who asks.
    ///   - completion: to be called exactly once, on any thread: until then the call takes a place in the
    ///     connection's window, and a draining connection waits for it.
    func handle(_ call: RPCCall, from peer: RPCPeer, completion: @escaping @Sendable (RPCResult) -> Void)

    /// Does the part of a long call that takes long.
    ///
    /// Called on a thread behind the event loops, which may be stopped at any instruction while other threads have the processors. So
    /// this part changes nothing, and holds no lock that an event loop may wait for, longer than to copy a value.
    ///
    /// - Returns: the rest of the call, which ``PreparedCall/carryOut(completion:)`` does on the connection's event loop. It may be
    ///   dropped without having been carried out.
    func prepare(_ call: RPCCall, from peer: RPCPeer) -> PreparedCall

    /// Does what calls that were handed over may have left for later, so that many of them cost less than as many alone.
    ///
    /// Called on the connection's event loop, once for all calls that its connections have handed over in one go.
    func flush()

    /// A line came that is no call, and was answered so without being handed to ``handle(_:from:completion:)``.
    ///
    /// Called on the connection's event loop, so it must not block.
    ///
    /// - Parameters:
    ///   - code: what it was refused for.
    ///   - peer: who sent it.
    func refused(_ code: RPCError.Code, from peer: RPCPeer)
}

extension RPCRequestHandler {
    package func identity(of certificate: PeerCertificate) -> PeerIdentity { PeerIdentity(certificate) }

    package func flush() {}

    /// A handler for which nothing takes long does all of the call on the event loop.
    package func prepare(_ call: RPCCall, from peer: RPCPeer) -> PreparedCall {
        PreparedCall { self.handle(call, from: peer, completion: $0) }
    }
}

/// A call of which the part that takes long is done.
package struct PreparedCall: Sendable {
    private let rest: @Sendable (_ completion: @escaping @Sendable (RPCResult) -> Void) -> Void

    /// - Parameter rest: does the rest of the call; what it is given is what ``RPCRequestHandler/handle(_:from:completion:)`` is given.
    package init(_ rest: @escaping @Sendable (_ completion: @escaping @Sendable (RPCResult) -> Void) -> Void) {
        self.rest = rest
    }

    /// Does the rest of the call. Called at most once, on the connection's event loop.
    package func carryOut(completion: @escaping @Sendable (RPCResult) -> Void) { self.rest(completion) }
}
