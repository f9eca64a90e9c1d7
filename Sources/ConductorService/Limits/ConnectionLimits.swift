import ConductorRPC
package import Logging
package import NIOCore

/// What a conductor's connections may take together, and what each guest may.
package struct ConnectionLimits: Sendable {
    /// How many connections there may be whose handshake is done.
    package var connections = 10_000
    /// How many connections one guest may have.
    package var connectionsPerGuest = 8
    /// How many of a hundred connections the guests of one tenant may have, or those of one address where certificates name no
    /// tenant.
    package var tenantPercent = 50
    /// A tenant's guests together may send as much as so many guests at their full rate.
    package var tenantGuestsAtFullRate = 16
    /// How often one address may connect.
    package var newConnections = AddressBudgets.Rates()
    /// How many bits of an IPv6 address say which network it is of.
    package var ipv6PrefixLength = NetworkAddress.defaultIPv6PrefixLength
    /// How many connections may be pending: without a complete ClientHello, or waiting for their handshake.
    package var pendingConnections = 4096
    /// How many handshakes may be under way.
    package var handshakes = 256
    /// How many handshakes of one address may be under way; nil for a thirty-second of all, and at least 4.
    package var handshakesPerAddress: Int?
    /// How long a new connection's ClientHello may take.
    package var helloTimeout = TimeAmount.seconds(2)
    /// How many bytes all connections together may have sent of lines that have not ended, or that wait for their turn.
    package var bufferedInput = 64 << 20
    /// How much a guest may send over all its connections.
    package var rates = GuestBudget.Rates()

    /// The defaults.
    package init() {}

    /// How many connections the guests of one tenant, or of one address, may have.
    package var connectionsPerHolder: Int { max(1, self.connections * self.tenantPercent / 100) }

    /// How much a tenant's guests may send together.
    package var tenantRates: GuestBudget.Rates { self.rates.scaled(by: self.tenantGuestsAtFullRate) }
}

extension ConnectionGate {
    /// The gate of a server with these limits, which writes a line a minute of what it closes.
    convenience init(_ limits: ConnectionLimits, logger: Logger) {
        let pending = Notice(
            """
            Closed new connections: as many as limits.pending_connections had sent no complete ClientHello or waited for a handshake
            """, logger: logger)
        let busy = Notice(
            """
            Closed connections with a slow handshake for others that waited: as many as limits.handshakes were in progress
            """, logger: logger)
        let failed = Notice(
            """
            Failed to accept a connection for lack of descriptors or memory; retrying. Raise RLIMIT_NOFILE (LimitNOFILE= in a \
            unit) or lower limits.connections
            """, logger: logger)
        let machine = ConnectionGate.Machine.Limits(
            pending: limits.pendingConnections, handshakes: limits.handshakes,
            handshakesPerAddress: limits.handshakesPerAddress)
        self.init(machine) { reason, eventLoop in
            switch reason {
            case .pending:
                pending.happened(
                    on: eventLoop, metadata: ["limits.pending_connections": "\(limits.pendingConnections)"])
            case .handshakes: busy.happened(on: eventLoop, metadata: ["limits.handshakes": "\(limits.handshakes)"])
            case .failure: break
            }
        } onFailure: { eventLoop in
            failed.happened(on: eventLoop, metadata: ["limits.connections": "\(limits.connections)"])
        }
    }
}

extension BufferedInput {
    /// The bound of a server with these limits, which writes a line a minute of what it closes.
    convenience init(_ limits: ConnectionLimits, logger: Logger) {
        let notice = Notice(
            """
            Closed the connections that held most bytes of unfinished lines: all connections together held more than \
            limits.buffered_input
            """, logger: logger)
        self.init(limit: limits.bufferedInput) { eventLoop in
            notice.happened(on: eventLoop, metadata: ["limits.buffered_input": "\(limits.bufferedInput)"])
        }
    }
}

/// How many connections a server has, and how many it refused.
package struct ConnectionCounters: Sendable, Hashable {
    /// Those there are, also before their handshake is done.
    package let connections: Int
    /// Those that have not said anything, or wait for their handshake.
    package let pending: Int
    /// Those whose handshake is under way.
    package let handshakes: Int
    /// Those that were refused because their guest, tenant or address had too many.
    package let refused: Int
    /// Those that were closed before their handshake because their address connected too often.
    package let rateLimited: Int
    /// Those that were closed so that others were served.
    package let displaced: Int
    /// Bytes of lines that have not ended, or wait for their turn.
    package let bufferedInput: Int

    init(_ gate: ConnectionGate, _ addresses: AddressAdmission, _ admission: GuestAdmission, _ input: BufferedInput) {
        let counts = gate.counts
        self.connections = counts.open
        self.pending = counts.silent + counts.waiting
        self.handshakes = counts.handshakes
        self.rateLimited = addresses.refused
        self.refused = admission.refused
        self.displaced = gate.dropped + admission.displaced + input.closed
        self.bufferedInput = input.total
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
                "connections": "\(self.connections)", "connections_pending": "\(self.pending)",
                "handshakes": "\(self.handshakes)",
                "connections_refused": "\(self.refused)",
                "connections_rate_limited": "\(self.rateLimited)",
                "connections_displaced": "\(self.displaced)",
                "buffered_input": "\(self.bufferedInput)",
            ])
    }
}
