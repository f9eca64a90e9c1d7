package import NIOCore

/// Says whose connections are served, and what each peer may take.
///
/// Called on the connections' event loops, of which there are several, so it must not block.
package protocol RPCAdmission: Sendable {
    /// A peer has proved who it is, and nothing of what it said has been looked at.
    ///
    /// - Parameter close: closes this connection once what it has taken is answered, with this error, so that another can be
    ///   admitted; may be called on any thread, and after the connection has ended.
    /// - Returns: what the connection may take; or the error that it is answered before it is closed.
    func admit(
        _ peer: RPCPeer, on eventLoop: any EventLoop, close: @escaping @Sendable (RPCError) -> Void
    ) -> Result<any RPCGuestShare, RPCError>
}

/// What one connection may take of a server: its peer's share, which all connections of the peer have in common.
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

    /// Whether so much of the peer was refused that not even a refusal is left to it. What others of its tenant were refused does not
    /// count, and bytes do not.
    func hasNoRefusalLeft(now: NIODeadline) -> Bool

    /// The connection has ended.
    func left(now: NIODeadline)
}

extension RPCError {
    /// More empty lines, or records without a line, than the peer's share.
    static func nothingAtAll(retryAfter: TimeAmount) -> RPCError {
        RPCError(
            .rateLimited,
            """
            This guest sends more empty lines, or TLS records of a few bytes, than its share. The connection is closed.
            """, retryAfterMilliseconds: Int(retryAfter.nanoseconds / 1_000_000) + 2)
    }

    /// A request past its peer's share. A millisecond more than that lasts, so that rounding refuses nobody twice.
    static func rateLimited(retryAfter: TimeAmount) -> RPCError {
        RPCError(
            .rateLimited, "This guest sends more requests than its share; send this one again later.",
            retryAfterMilliseconds: Int(retryAfter.nanoseconds / 1_000_000) + 2)
    }
}
