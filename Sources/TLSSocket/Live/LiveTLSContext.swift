import NIOConcurrencyHelpers

/// The context that new connections get, and the connections that are open under it and its predecessors.
///
/// A connection keeps the context that it began with. When another takes its place, open connections are compared with the new
/// revocation lists and, where the authorities are others, verified by those; those of a peer that is revoked, or that would not be
/// let in any more, are cut. One context is replaced at a time.
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
        /// How many connections were cut because their peer was revoked, or its authority was taken out.
        package var cutConnections = 0
        /// How many connections are open.
        package var openConnections = 0
    }

    /// A connection's peer, seen under a new context.
    enum Change: Sendable {
        /// A certificate of its chain was revoked: the connection must end.
        case revoked
        /// No chain leads from it to an authority that is trusted: the connection must end.
        case untrusted
        /// Another chain than before does, which expires at this time, in seconds since 1970 (UTC).
        case moved(notAfter: Int64)
    }

    /// How a connection's registration ends.
    enum Registration: Sendable {
        /// It is kept under this number, and its chain expires at this time, in seconds since 1970 (UTC).
        case open(UInt64, notAfter: Int64)
        /// It must end at once: its peer was revoked, or its authority taken out, since the handshake began.
        case rejected(Change)
    }

    /// How many connections a replacement has cut.
    struct Cut: Sendable {
        var revoked = 0
        var untrusted = 0
        var all: Int { self.revoked + self.untrusted }
    }

    /// What is kept of an open connection.
    private struct Connection {
        var chain: VerifiedChain
        var notify: @Sendable (Change) -> Void
    }

    /// What a context says of a chain that holds under another one.
    private enum Finding {
        case stays
        case moves(VerifiedChain)
        case revoked
        case untrusted
    }

    private struct State {
        var context: TLSContext
        var connections: [UInt64: Connection] = [:]
        var nextNumber: UInt64 = 0
        var status = Status()
    }

    private let state: NIOLockedValueBox<State>
    private let onReplacement = NIOLockedValueBox<(@Sendable (TLSContext, Bool) -> Void)?>(nil)

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

    /// Takes this context for new connections, and cuts those of peers that it would not let in any more: its lists name them, or
    /// it does not trust their authority.
    ///
    /// - Returns: how many were cut.
    @discardableResult
    package func replace(with context: TLSContext) -> Int {
        self.replace(with: context, isWhole: true).all
    }

    /// Sets what is called with each context that takes the place of another: with false before any connection can begin with it,
    /// and with true once every new connection does.
    package func setOnReplacement(_ body: @escaping @Sendable (_ context: TLSContext, _ isInUse: Bool) -> Void) {
        self.onReplacement.withLockedValue { $0 = body }
    }

    /// - Parameter isWhole: whether the context has all that the files hold, so that nothing is wrong with them any more.
    func replace(with context: TLSContext, isWhole: Bool) -> Cut {
        let onReplacement = self.onReplacement.withLockedValue { $0 }
        onReplacement?(context, false)
        defer { onReplacement?(context, true) }
        let (previous, connections) = self.state.withLockedValue { state in
            let previous = state.context
            state.context = context
            state.status.replacements += 1
            if isWhole { state.status.problem = nil }
            // A connection that registers from now on is compared by that.
            return (previous, state.connections)
        }
        var cut = Cut()
        let isTrustOther = context.ssl.anchors.digest != previous.ssl.anchors.digest
        guard context.revocationLists != nil || isTrustOther else { return cut }
        for (number, connection) in connections {
            switch Self.find(connection.chain, under: context, isTrustOther: isTrustOther) {
            case .stays: break
            case .moves(let chain):
                self.state.withLockedValue { $0.connections[number]?.chain = chain }
                connection.notify(.moved(notAfter: chain.notAfter))
            case .revoked:
                cut.revoked += 1
                connection.notify(.revoked)
            case .untrusted:
                cut.untrusted += 1
                connection.notify(.untrusted)
            }
        }
        self.state.withLockedValue { $0.status.cutConnections += cut.all }
        return cut
    }

    private static func find(_ chain: VerifiedChain, under context: TLSContext, isTrustOther: Bool) -> Finding {
        let lists = context.revocationLists
        if lists?.contains(chain) == true { return .revoked }
        // A chain goes on to hold with the authority that it ends with.
        guard isTrustOther, let anchor = chain.certificates.last, !context.ssl.anchors.contains(anchor) else {
            return .stays
        }
        guard let other = chain.verified(under: context.ssl) else { return .untrusted }
        return lists?.contains(other) == true ? .revoked : .moves(other)
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
    ///   - context: what that was verified under.
    ///   - notify: called on any thread with what changes later.
    func register(
        _ chain: VerifiedChain, under context: SSLContext, notify: @escaping @Sendable (Change) -> Void
    ) -> Registration {
        let (number, present) = self.state.withLockedValue { state in
            state.nextNumber += 1
            state.connections[state.nextNumber] = Connection(chain: chain, notify: notify)
            return (state.nextNumber, state.context)
        }
        let isTrustOther = present.ssl.anchors.digest != context.anchors.digest
        let change: Change
        switch Self.find(chain, under: present, isTrustOther: isTrustOther) {
        case .stays: return .open(number, notAfter: chain.notAfter)
        case .moves(let other):
            self.state.withLockedValue { $0.connections[number]?.chain = other }
            return .open(number, notAfter: other.notAfter)
        case .revoked: change = .revoked
        case .untrusted: change = .untrusted
        }
        self.state.withLockedValue { state in
            state.connections[number] = nil
            state.status.cutConnections += 1
        }
        return .rejected(change)
    }

    /// The connection is gone.
    func deregister(_ number: UInt64) {
        self.state.withLockedValue { _ = $0.connections.removeValue(forKey: number) }
    }
}
