/// Decides when a server takes connections: not while it has as many as it may, or as many handshakes under way, or has just
/// failed to take one. It holds no I/O.
package struct ConnectionGateStateMachine<ID: Hashable> {
    /// Why no connection is taken.
    package enum Obstacle: String, Sendable {
        /// There are as many as there may be.
        case connections
        /// As many handshakes are under way as there may be.
        case handshakes
        /// The last attempt failed, for want of descriptors or memory.
        case failure
    }

    private let connections: Int
    private let handshakes: Int
    private var open: Set<ID> = []
    private var handshaking: Set<ID> = []
    private var hasFailed = false

    /// - Parameters:
    ///   - connections: how many there may be, those whose handshake is under way among them.
    ///   - handshakes: how many handshakes may be under way.
    package init(connections: Int, handshakes: Int) {
        self.connections = connections
        self.handshakes = handshakes
    }

    /// How many connections there are.
    package var openCount: Int { self.open.count }
    /// How many handshakes are under way.
    package var handshakeCount: Int { self.handshaking.count }

    /// What keeps the server from taking a connection; nil when nothing does.
    package var obstacle: Obstacle? {
        if self.hasFailed { return .failure }
        if self.open.count >= self.connections { return .connections }
        return self.handshaking.count >= self.handshakes ? .handshakes : nil
    }

    /// A connection was taken, and its handshake begins.
    package mutating func accepted(_ id: ID) {
        self.open.insert(id)
        self.handshaking.insert(id)
    }

    /// A handshake was completed; one that fails ends its connection.
    package mutating func handshakeCompleted(_ id: ID) { self.handshaking.remove(id) }

    /// A connection is gone, and its descriptor is free.
    package mutating func closed(_ id: ID) {
        self.handshaking.remove(id)
        self.open.remove(id)
        self.hasFailed = false
    }

    /// No connection could be taken, though one is there.
    package mutating func failed() { self.hasFailed = true }

    /// Time has passed since: it is tried again.
    package mutating func retry() { self.hasFailed = false }
}

extension ConnectionGateStateMachine: Sendable where ID: Sendable {}
