import NIOConcurrencyHelpers

/// The context that new connections get, and the connections that are open under it and its predecessors.
///
/// A connection keeps the context that it began with. When another takes its place, open connections are compared with the
/// new revocation lists, and those of a revoked peer are cut.
package final class LiveTLSContext: Sendable {
    /// What has become of it since the start; values for metrics.
    package struct Status: Sendable {
        /// What of the present context ends some day.
        package var expiries: [TLSExpiry] = []
        /// How many times another context took the place of the present one.
        package var replacements = 0
        /// How many sets of files were refused.
        package var refusals = 0
        /// Why the files that are there now cannot be used; nil when they are in use.
        package var problem: String?
        /// How many connections were cut because their peer was revoked.
        package var cutConnections = 0
        /// How many connections are open.
        package var openConnections = 0
    }

    /// What is kept of an open connection.
    private struct Connection {
        var chain: VerifiedChain
        var cut: @Sendable () -> Void
    }

    private struct State {
        var context: TLSContext
        var connections: [UInt64: Connection] = [:]
        var nextNumber: UInt64 = 0
        var status = Status()
    }

    private let state: NIOLockedValueBox<State>

    /// Begins with this context.
    package init(_ context: TLSContext) {
        self.state = NIOLockedValueBox(State(context: context))
    }

    /// For new connections.
    package var current: TLSContext { self.state.withLockedValue { $0.context } }

    /// How it stands.
    package var status: Status {
        self.state.withLockedValue { state in
            var status = state.status
            status.expiries = state.context.expiries
            status.openConnections = state.connections.count
            return status
        }
    }

    /// Takes this context for new connections, and cuts those of peers that its lists name.
    ///
    /// - Returns: how many were cut.
    @discardableResult
    package func replace(with context: TLSContext) -> Int {
        self.replace(with: context, isWhole: true)
    }

    /// - Parameter isWhole: whether the context has all that the files hold, so that nothing is wrong with them any more.
    func replace(with context: TLSContext, isWhole: Bool) -> Int {
        let connections = self.state.withLockedValue { state in
            state.context = context
            state.status.replacements += 1
            if isWhole { state.status.problem = nil }
            // A connection that registers from now on is compared by that.
            return context.revocationLists == nil ? [] : Array(state.connections.values)
        }
        guard let lists = context.revocationLists else { return 0 }
        let revoked = connections.filter { lists.contains($0.chain) }
        self.state.withLockedValue { $0.status.cutConnections += revoked.count }
        for connection in revoked { connection.cut() }
        return revoked.count
    }

    func refused(_ reason: String) {
        self.state.withLockedValue { state in
            state.status.refusals += 1
            state.status.problem = reason
        }
    }

    func recovered() {
        self.state.withLockedValue { $0.status.problem = nil }
    }

    /// A connection's handshake is complete.
    ///
    /// - Parameters:
    ///   - chain: its peer.
    ///   - cut: ends it; called on any thread.
    /// - Returns: its number; nil when its peer was revoked since the handshake began, and it must end at once.
    func register(_ chain: VerifiedChain, cut: @escaping @Sendable () -> Void) -> UInt64? {
        let (number, lists) = self.state.withLockedValue { state in
            state.nextNumber += 1
            state.connections[state.nextNumber] = Connection(chain: chain, cut: cut)
            return (state.nextNumber, state.context.revocationLists)
        }
        guard lists?.contains(chain) == true else { return number }
        self.state.withLockedValue { state in
            state.connections[number] = nil
            state.status.cutConnections += 1
        }
        return nil
    }

    /// The connection is gone.
    func deregister(_ number: UInt64) {
        self.state.withLockedValue { _ = $0.connections.removeValue(forKey: number) }
    }
}
