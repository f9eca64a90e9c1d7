// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers

/// The context for new connections, and a registry of the connections that are open under it and its predecessors.
///
/// A connection keeps the context that it began with. When another context replaces the current one, open connections
/// are checked against the new revocation lists and, if the authorities differ, verified with the new ones. Connections
/// whose peer is revoked, or would no longer be accepted, are closed. Only one replacement may run at a time.
package final class LiveTLSContext: Sendable {
    /// The current state, and counts since the start: values for metrics.
    package struct Status: Sendable {
        /// The certificates and revocation lists of the current context that expire.
        package var expiries: [TLSExpiry] = []
        /// The number of times that another context has replaced the current one.
        package var replacements = 0
        /// The number of sets of files that were rejected.
        package var rejections = 0
        /// The reason why the current files cannot be used; nil when they are in use.
        package var problem: String?
        /// The number of connections that were closed because their peer was revoked or its authority was removed.
        package var cutConnections = 0
        /// The number of open connections.
        package var openConnections = 0
    }

    /// The effect of a new context on an open connection.
    enum Change: Sendable {
        /// A certificate of the peer's chain was revoked: the connection must close.
        case revoked
        /// No chain leads from the peer's certificate to a trusted authority: the connection must close.
        case untrusted
        /// Another chain than before leads to a trusted authority; it expires then (seconds since 1970, UTC).
        case moved(notAfter: Int64)
    }

    /// The result of a connection's registration.
    enum Registration: Sendable {
        /// The connection is registered under this number; its chain expires then (seconds since 1970, UTC).
        case open(UInt64, notAfter: Int64)
        /// The connection must close at once: since its handshake began, its peer was revoked or its authority removed.
        case rejected(Change)
    }

    /// The numbers of connections that a replacement has closed.
    struct ClosedConnections: Sendable {
        var revoked = 0
        var untrusted = 0
        var all: Int { self.revoked + self.untrusted }
    }

    /// The record of an open connection.
    private struct Connection {
        var chain: VerifiedChain
        var notify: @Sendable (Change) -> Void
    }

    /// The state, under a new context, of a chain that was verified under another one.
    private enum Finding {
        case valid
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

    /// Creates a live context that uses this context for new connections.
    package init(_ context: TLSContext) {
        self.state = NIOLockedValueBox(State(context: context))
    }

    /// The context for new connections.
    package var current: TLSContext { self.state.withLockedValue { $0.context } }

    /// The current state and counts.
    package var status: Status {
        self.state.withLockedValue { state in
            var status = state.status
            status.expiries = state.context.expiries
            status.openConnections = state.connections.count
            return status
        }
    }

    /// Uses this context for new connections, and closes the connections of peers that it no longer accepts: its lists
    /// name them, or it does not trust their authority.
    ///
    /// - Returns: the number of connections that were closed.
    @discardableResult
    package func replace(with context: TLSContext) -> Int {
        self.replace(with: context, isWhole: true).all
    }

    /// Sets the closure that is called with each context that replaces another: with false before any connection can
    /// begin with it, and with true once every new connection does.
    package func setOnReplacement(_ body: @escaping @Sendable (_ context: TLSContext, _ isInUse: Bool) -> Void) {
        self.onReplacement.withLockedValue { $0 = body }
    }

    /// Replaces the current context, and closes the connections of peers that the new one no longer accepts.
    ///
    /// - Parameter isWhole: whether the context has all that the files hold, so that no problem with them remains.
    func replace(with context: TLSContext, isWhole: Bool) -> ClosedConnections {
        let onReplacement = self.onReplacement.withLockedValue { $0 }
        onReplacement?(context, false)
        defer { onReplacement?(context, true) }
        let (previous, connections) = self.state.withLockedValue { state in
            let previous = state.context
            state.context = context
            state.status.replacements += 1
            if isWhole { state.status.problem = nil }
            // A connection that registers from now on is checked against this context.
            return (previous, state.connections)
        }
        var cut = ClosedConnections()
        let hasTrustChanged = context.ssl.anchors.digest != previous.ssl.anchors.digest
        guard context.revocationLists != nil || hasTrustChanged else { return cut }
        for (number, connection) in connections {
            switch Self.find(connection.chain, under: context, hasTrustChanged: hasTrustChanged) {
            case .valid: break
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

    private static func find(_ chain: VerifiedChain, under context: TLSContext, hasTrustChanged: Bool) -> Finding {
        let lists = context.revocationLists
        if lists?.contains(chain) == true { return .revoked }
        // A chain remains valid while the authority that it ends with is trusted.
        guard hasTrustChanged, let anchor = chain.certificates.last, !context.ssl.anchors.contains(anchor) else {
            return .valid
        }
        guard let other = chain.verified(under: context.ssl) else { return .untrusted }
        return lists?.contains(other) == true ? .revoked : .moves(other)
    }

    func recordRejection(_ reason: String) {
        self.state.withLockedValue { state in
            state.status.rejections += 1
            state.status.problem = reason
        }
    }

    func recovered() {
        self.state.withLockedValue { $0.status.problem = nil }
    }

    /// Registers a connection whose handshake is complete.
    ///
    /// - Parameters:
    ///   - chain: the peer's verified chain.
    ///   - context: the context that the chain was verified under.
    ///   - notify: called on any thread with later changes.
    func register(
        _ chain: VerifiedChain, under context: SSLContext, notify: @escaping @Sendable (Change) -> Void
    ) -> Registration {
        let (number, present) = self.state.withLockedValue { state in
            state.nextNumber += 1
            state.connections[state.nextNumber] = Connection(chain: chain, notify: notify)
            return (state.nextNumber, state.context)
        }
        let hasTrustChanged = present.ssl.anchors.digest != context.anchors.digest
        let change: Change
        switch Self.find(chain, under: present, hasTrustChanged: hasTrustChanged) {
        case .valid: return .open(number, notAfter: chain.notAfter)
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

    /// Removes a connection that has closed.
    func deregister(_ number: UInt64) {
        self.state.withLockedValue { _ = $0.connections.removeValue(forKey: number) }
    }
}
