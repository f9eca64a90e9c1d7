// SPDX-License-Identifier: Apache-2.0

import NIOCore
package import Notifications
package import TLSChannel

/// The peer at the other end of a connection.
package struct RPCPeer: Sendable {
    /// The certificate that the peer proved to own; nil before the handshake, and in tests without TLS.
    package private(set) var certificate: PeerCertificate?
    /// The peer's identity.
    package private(set) var identity: PeerIdentity
    /// The sender of the notifications that the peer's reports become. It is made for each connection, not for each
    /// report.
    package private(set) var sender: NotificationSender
    /// The peer's address, `ip:port`.
    package var remoteAddress: String
    /// The address that the peer connected to, `ip:port`.
    package var localAddress: String
    /// The network of the peer's address; nil in tests without a socket.
    package var network: NetworkAddress?

    /// A peer of this certificate and these addresses.
    ///
    /// - Parameter identity: the peer's identity; nil for that of the certificate's owner.
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

    /// Records the certificate that the peer has proved to own.
    mutating func setCertificate(_ certificate: PeerCertificate, to requestHandler: any RPCRequestHandler) {
        self.certificate = certificate
        self.identity = requestHandler.identity(of: certificate)
        self.sender = NotificationSender(key: self.identity.bits, name: self.identity.displayName)
    }

    /// Counts the messages that the peer's reports become against this rate limiter.
    mutating func use(_ rateLimiter: any RPCPeerRateLimiter) {
        self.sender = NotificationSender(key: self.sender.key, name: self.sender.name) {
            rateLimiter.chargePublished(bytes: $0, now: .now())
        }
    }
}

/// A handler that carries out the calls of peers.
package protocol RPCRequestHandler: Sendable {
    /// Returns the identity of the peer with this certificate. All certificates of one peer have the same identity, and
    /// so one rate limiter and one memory of message ids. The handler takes the peer's names from its identity at each
    /// call.
    ///
    /// Called once for each connection, on its event loop.
    func identity(of certificate: PeerCertificate) -> PeerIdentity

    /// Carries out one call.
    ///
    /// Called on the connection's event loop, so it must not block. The call may wait for ``flush()``.
    ///
    /// - Parameters:
    ///   - call: the call.
    ///   - peer: the peer that makes the call.
    ///   - completion: must be called exactly once, on any thread. Until then the call takes a place in the
    ///     connection's window, and a draining connection waits for it.
    func handle(_ call: RPCCall, from peer: RPCPeer, completion: @escaping @Sendable (RPCResult) -> Void)

    /// Does the slow part of a long call.
    ///
    /// Called on a background thread, which may be preempted at any instruction while other threads have the
    /// processors. So this part changes nothing, and holds no lock that an event loop may wait for, except for as long
    /// as it takes to copy a value.
    ///
    /// - Returns: the rest of the call, which ``PreparedCall/carryOut(completion:)`` does on the connection's event
    ///   loop. It may be dropped without having been carried out.
    func prepare(_ call: RPCCall, from peer: RPCPeer) -> PreparedCall

    /// Does what calls may have deferred, so that many calls together cost less than each alone.
    ///
    /// Called on the connection's event loop, once for all calls that its connections have handed off together
    /// (``RequestFlushScheduler``).
    func flush()

    /// Records a line that was rejected with this code, and not handed to ``handle(_:from:completion:)``: it was no
    /// call, or it exceeded the peer's rate limit.
    ///
    /// Called on the connection's event loop, so it must not block.
    ///
    /// - Parameters:
    ///   - code: the reason for the rejection.
    ///   - peer: the sender of the line.
    func recordRejection(_ code: RPCError.Code, from peer: RPCPeer)
}

extension RPCRequestHandler {
    package func identity(of certificate: PeerCertificate) -> PeerIdentity { PeerIdentity(certificate) }

    package func flush() {}

    /// Leaves the whole call to the event loop, for handlers without a slow part.
    package func prepare(_ call: RPCCall, from peer: RPCPeer) -> PreparedCall {
        PreparedCall { self.handle(call, from: peer, completion: $0) }
    }
}

/// A call whose slow part is done.
package struct PreparedCall: Sendable {
    private let rest: @Sendable (_ completion: @escaping @Sendable (RPCResult) -> Void) -> Void

    /// - Parameter rest: does the rest of the call, with the completion of
    ///   ``RPCRequestHandler/handle(_:from:completion:)``.
    package init(_ rest: @escaping @Sendable (_ completion: @escaping @Sendable (RPCResult) -> Void) -> Void) {
        self.rest = rest
    }

    /// Does the rest of the call. Called at most once, on the connection's event loop.
    package func carryOut(completion: @escaping @Sendable (RPCResult) -> Void) { self.rest(completion) }
}
