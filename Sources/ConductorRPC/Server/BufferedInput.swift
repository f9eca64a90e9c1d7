import NIOConcurrencyHelpers
package import NIOCore

/// What all connections of a server have read and not yet taken: lines that have begun, and what waits for its turn.
/// ``BufferedInputStateMachine`` decides which connections are closed when it is too much.
package final class BufferedInput: Sendable {
    private struct State {
        var machine: BufferedInputStateMachine<ObjectIdentifier>
        /// Closes a connection that holds something.
        var closes: [ObjectIdentifier: @Sendable () -> Void] = [:]
        var closed = 0
    }

    private let state: NIOLockedValueBox<State>
    private let onClose: @Sendable (any EventLoop) -> Void

    /// - Parameters:
    ///   - limit: how many bytes there may be.
    ///   - onClose: called on an event loop for each connection that is closed.
    package init(limit: Int, onClose: @escaping @Sendable (any EventLoop) -> Void = { _ in }) {
        self.state = NIOLockedValueBox(State(machine: BufferedInputStateMachine(limit: limit)))
        self.onClose = onClose
    }

    /// How many bytes there are.
    package var total: Int { self.state.withLockedValue { $0.machine.total } }
    /// How many connections were closed because they held most.
    package var closed: Int { self.state.withLockedValue { $0.closed } }

    /// A connection holds so many bytes now. Called on its event loop.
    ///
    /// - Parameter close: makes what closes the connection, on any thread, but not before this function has returned.
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
    /// A connection is closed because all of them hold too much, and it holds most.
    static let bufferedInput = RPCError(
        .rateLimited,
        """
        The conductor holds as many bytes of requests that have not ended as limits.buffered_input allows, and this connection \
        holds most of them. It is closed; send the request again.
        """, retryAfterMilliseconds: 1000)
}
