/// Why a call got no reply.
package enum RPCCallError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The conductor answered with an error.
    case refused(RPCError)
    /// The connection ended before the answer: the conductor may or may not have published.
    case connectionLost(String)

    /// Whether the same call can succeed later, on this connection or another.
    package var isRetryable: Bool {
        switch self {
        case .refused(let error): error.code.isRetryable
        case .connectionLost: true
        }
    }

    /// What happened.
    package var description: String {
        switch self {
        case .refused(let error): error.description
        case .connectionLost(let reason): "the connection was lost: \(reason)"
        }
    }
}

/// Called exactly once with what became of a call, on the connection's event loop or the caller's thread.
package typealias RPCCompletion = @Sendable (Result<RPCReply, RPCCallError>) -> Void
