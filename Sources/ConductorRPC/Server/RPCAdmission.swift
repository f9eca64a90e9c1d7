// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// A policy that decides which connections are served, and how much each peer may use.
///
/// Its methods are called on the connections' event loops, of which there are several, so they must not block.
package protocol RPCAdmission: Sendable {
    /// Decides whether a connection is admitted. Its peer has proved its identity, and none of its input has been
    /// processed.
    ///
    /// - Parameter close: closes this connection with this error once the requests it has accepted are answered, so
    ///   that another connection can be admitted. It may be called on any thread, and after the connection has ended.
    /// - Returns: the rate limiter of the connection's peer, or the error that it is answered before it is closed.
    func admit(
        _ peer: RPCPeer, on eventLoop: any EventLoop, close: @escaping @Sendable (RPCError) -> Void
    ) -> Result<any RPCPeerRateLimiter, RPCError>
}

/// The rate limiter of a peer, as one of its connections uses it. All connections of the peer count together.
package protocol RPCPeerRateLimiter: Sendable {
    /// Counts a request against the rate limit.
    ///
    /// - Returns: nil when the request is to be carried out; otherwise the time after which the same request is worth
    ///   sending again.
    func chargeRequest(now: NIODeadline) -> TimeAmount?

    /// Counts plaintext that was read, whatever its contents.
    func chargeReceived(bytes: Int, now: NIODeadline)

    /// Counts a message of this length, which was made of a request, for the broker. Called on any thread.
    func chargePublished(bytes: Int, now: NIODeadline)

    /// Returns the time for which no more of the peer's input is to be read or processed; nil to continue.
    func pause(now: NIODeadline) -> TimeAmount?

    /// Whether so many of the peer's requests were rejected that its limit for rejections is reached too. What was
    /// rejected for other guests of its tenant does not count, and bytes do not count.
    func hasExhaustedRejections(now: NIODeadline) -> Bool

    /// Records that the connection has ended.
    func connectionEnded(now: NIODeadline)
}

extension RPCError {
    /// The error for a peer that sends more empty lines, or records without a line, than its rate limit allows.
    static func tooMuchEmptyInput(retryAfter: TimeAmount) -> RPCError {
        RPCError(
            .rateLimited,
            """
            This guest sends more empty lines, or TLS records of a few bytes, than its share. The connection is closed.
            """, retryAfterMilliseconds: Int(retryAfter.nanoseconds / 1_000_000) + 2)
    }

    /// The error for a request that exceeds its peer's rate limit. Its time is at least a millisecond longer than the
    /// wait, so that rounding rejects no request twice.
    static func rateLimited(retryAfter: TimeAmount) -> RPCError {
        RPCError(
            .rateLimited, "This guest sends more requests than its share; send this one again later.",
            retryAfterMilliseconds: Int(retryAfter.nanoseconds / 1_000_000) + 2)
    }
}
