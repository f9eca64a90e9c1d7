// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
package import NIOCore

/// A limiter of the input that all connections of a server have read and not yet processed: unfinished lines, and input
/// that waits for its turn. ``BufferedInputStateMachine`` decides which connections are closed when it exceeds the
/// limit.
package final class BufferedInputLimiter: Sendable {
    private struct State {
        var machine: BufferedInputStateMachine<ObjectIdentifier>
        /// The functions that close the connections with buffered input.
        var closes: [ObjectIdentifier: @Sendable () -> Void] = [:]
        var closed = 0
    }

    private let state: NIOLockedValueBox<State>
    private let onClose: @Sendable (any EventLoop) -> Void

    /// - Parameters:
    ///   - limit: how many bytes all connections may hold together.
    ///   - onClose: called on an event loop for each connection that is closed.
    package init(limit: Int, onClose: @escaping @Sendable (any EventLoop) -> Void = { _ in }) {
        self.state = NIOLockedValueBox(State(machine: BufferedInputStateMachine(limit: limit)))
        self.onClose = onClose
    }

    /// The number of bytes that all connections hold.
    package var total: Int { self.state.withLockedValue { $0.machine.total } }
    /// The number of connections that were closed because they held the most.
    package var closed: Int { self.state.withLockedValue { $0.closed } }

    /// Records that a connection holds this many bytes now. Called on its event loop.
    ///
    /// - Parameter close: returns a function that closes the connection. That function is called on any thread, and
    ///   must close the connection only after this method has returned.
    func changed(
        _ id: ObjectIdentifier, to bytes: Int, on eventLoop: any EventLoop, close: () -> @Sendable () -> Void
    ) {
        let closes = self.state.withLockedValue { state in
            if bytes == 0 { state.closes[id] = nil } else if state.closes[id] == nil { state.closes[id] = close() }
            let closed = state.machine.changed(id, to: bytes)
            state.closed += closed.count
            return closed.compactMap { state.closes.removeValue(forKey: $0) }
        }
        for close in closes {
            close()
            self.onClose(eventLoop)
        }
    }
}

extension RPCError {
    /// The error for a connection that is closed because all connections hold too much, and this one holds the most.
    static let bufferedInput = RPCError(
        .rateLimited,
        """
        The conductor holds as many bytes of requests that have not ended as limits.buffered_input allows, and this connection \
        holds most of them. It is closed; send the request again.
        """, retryAfterMilliseconds: 1000)
}
