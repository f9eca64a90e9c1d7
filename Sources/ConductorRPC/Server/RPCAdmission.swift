package import NIOCore

/// Says whose connections are served, and what each peer may take.
///
/// Called on the connections' event loops, of which there are several, so it must not block.
package protocol RPCAdmission: Sendable {
    /// A peer has proved who it is, and nothing of what it said has been looked at.
    ///
    /// - Returns: its share, which all its connections have in common and which is given back with ``left(_:on:)``; or what
    ///   it is told before this connection is closed.
    func admit(_ peer: RPCPeer, on eventLoop: any EventLoop) -> Result<any RPCGuestShare, RPCError>

    /// A connection that was admitted has ended.
    func left(_ peer: RPCPeer, on eventLoop: any EventLoop)
}

/// What one peer may take of a server, over all its connections.
package protocol RPCGuestShare: Sendable {
    /// A request came.
    ///
    /// - Returns: nil when it is to be carried out; else how long until the same request is worth sending again.
    func request(now: NIODeadline) -> TimeAmount?

    /// So many bytes of plaintext were read, whatever they say.
    func received(bytes: Int, now: NIODeadline)

    /// A message of so many bytes was made of a request, for the broker. Called on any thread.
    func published(bytes: Int, now: NIODeadline)

    /// For how long nothing more of the peer's is to be read or looked at; nil to go on.
    func pause(now: NIODeadline) -> TimeAmount?
}

extension RPCError {
    /// A request past its peer's share. A millisecond more than that lasts, so that rounding refuses nobody twice.
    static func rateLimited(retryAfter: TimeAmount) -> RPCError {
        RPCError(
            .rateLimited, "This guest sends more requests than its share; send this one again later.",
            retryAfterMilliseconds: Int(retryAfter.nanoseconds / 1_000_000) + 2)
    }
}
