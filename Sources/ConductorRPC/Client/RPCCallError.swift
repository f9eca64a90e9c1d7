// SPDX-License-Identifier: Apache-2.0

/// An error for a call that got no reply.
package enum RPCCallError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The conductor answered with an error.
    case rejected(RPCError)
    /// The connection ended before the answer. The conductor may or may not have published the outcome.
    case connectionLost(String)

    /// Whether the same call can succeed later, on this connection or another.
    package var isRetryable: Bool {
        switch self {
        case .rejected(let error): error.code.isRetryable
        case .connectionLost: true
        }
    }

    /// A description of the error.
    package var description: String {
        switch self {
        case .rejected(let error): error.description
        case .connectionLost(let reason): "the connection was lost: \(reason)"
        }
    }
}

/// A callback that is called exactly once with the result of a call, on the connection's event loop or the caller's
/// thread.
package typealias RPCCompletion = @Sendable (Result<RPCReply, RPCCallError>) -> Void
