import ConductorRPC
package import Logging

/// What a conductor's connections may take together, and what each guest may.
package struct ConnectionLimits: Sendable {
    /// How many connections there may be, those whose handshake is under way among them.
    package var connections = 10_000
    /// How many connections one guest may have.
    package var connectionsPerGuest = 100
    /// How often one address may connect.
    package var newConnections = AddressBudgets.Rates()
    /// How many handshakes may be under way.
    package var handshakes = 256
    /// How much a guest may send over all its connections.
    package var rates = GuestBudget.Rates()

    /// The defaults.
    package init() {}
}

extension ConnectionGate {
    /// The gate of a server with these limits, which writes a line a minute of what keeps it shut.
    convenience init(_ limits: ConnectionLimits, logger: Logger) {
        let full = Notice("No more connections are taken: there are limits.connections of them", logger: logger)
        let busy = Notice(
            "No more connections are taken until handshakes are done: limits.handshakes are under way", logger: logger)
        let failed = Notice(
            """
            No connection can be taken for want of descriptors or memory; it is tried again. Raise RLIMIT_NOFILE \
            (LimitNOFILE= in a unit) or lower limits.connections
            """, logger: logger)
        self.init(connections: limits.connections, handshakes: limits.handshakes) { obstacle, eventLoop in
            switch obstacle {
            case .connections: full.happened(on: eventLoop, metadata: ["limits.connections": "\(limits.connections)"])
            case .handshakes: busy.happened(on: eventLoop, metadata: ["limits.handshakes": "\(limits.handshakes)"])
            case .failure: failed.happened(on: eventLoop, metadata: ["limits.connections": "\(limits.connections)"])
            }
        }
    }
}

/// How many connections a server has, and how many it refused.
package struct ConnectionCounters: Sendable, Hashable {
    /// Those there are, also while their handshake is under way.
    package let connections: Int
    /// Those whose handshake is under way.
    package let handshakes: Int
    /// Those that were refused because their guest had too many.
    package let refused: Int
    /// Those that were closed before their handshake because their address connected too often.
    package let rateLimited: Int

    init(_ gate: ConnectionGate, _ addresses: AddressAdmission, _ admission: GuestAdmission) {
        (self.connections, self.handshakes) = gate.counts
        self.rateLimited = addresses.refused
        self.refused = admission.refused
    }

    /// Writes one line with the counters, whatever level the logger is set to.
    ///
    /// Names and numbers are a promise to programs (Docs/operations.md).
    package func log(to logger: Logger) {
        var logger = logger
        logger.logLevel = min(logger.logLevel, .info)
        logger.info(
            "Connections",
            metadata: [
                "connections": "\(self.connections)", "handshakes": "\(self.handshakes)",
                "connections_refused": "\(self.refused)",
                "connections_rate_limited": "\(self.rateLimited)",
            ])
    }
}
