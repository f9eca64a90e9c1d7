// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
package import Logging
package import NIOCore

/// Limits on a conductor's connections: on all together, and on those of each guest.
package struct ConnectionLimits: Sendable {
    /// The maximum number of connections whose handshake is done.
    package var connections = 10_000
    /// The maximum number of connections of one guest.
    package var connectionsPerGuest = 8
    /// The percentage of ``connections`` that the guests of one tenant may have. If certificates name no tenant, it
    /// applies to the guests of one address.
    package var tenantPercent = 50
    /// The rate limit of a tenant's guests together, as a multiple of one guest's rates.
    package var tenantGuestsAtFullRate = 16
    /// The rate limit for new connections of one address.
    package var newConnections = AddressRateLimitStateMachine.Rates()
    /// The number of bits of an IPv6 address that identify its network.
    package var ipv6PrefixLength = NetworkAddress.defaultIPv6PrefixLength
    /// The maximum number of pending connections: those without a complete ClientHello, or waiting for their handshake.
    package var pendingConnections = 4096
    /// The maximum number of handshakes in progress.
    package var handshakes = 256
    /// The maximum number of handshakes in progress of one address; nil for a thirty-second of all, but at least 4.
    package var handshakesPerAddress: Int?
    /// The time after which a new connection without a complete ClientHello is closed.
    package var helloTimeout = TimeAmount.seconds(2)
    /// The maximum number of bytes that all connections together hold of lines that have not ended, or that wait for
    /// their turn.
    package var bufferedInput = 64 << 20
    /// The rate limits of one guest, over all its connections.
    package var rates = GuestRateLimitStateMachine.Rates()

    /// Creates the defaults.
    package init() {}

    /// The maximum number of connections of one tenant's guests, or of one address's guests.
    package var connectionsPerOwner: Int { max(1, self.connections * self.tenantPercent / 100) }

    /// The rate limits of a tenant's guests together.
    package var tenantRates: GuestRateLimitStateMachine.Rates { self.rates.scaled(by: self.tenantGuestsAtFullRate) }
}

extension ConnectionGate {
    /// Creates the gate of a server with these limits. It logs one line a minute for each reason to close connections,
    /// and one about failures to accept them.
    convenience init(_ limits: ConnectionLimits, logger: Logger) {
        let pending = RateLimitedWarning(
            """
            Closed new connections: limits.pending_connections reached (no complete ClientHello, or waiting for a handshake)
            """, logger: logger)
        let busy = RateLimitedWarning(
            """
            Closed connections with a slow handshake so that others could begin theirs: limits.handshakes reached
            """, logger: logger)
        let failed = RateLimitedWarning(
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
                pending.record(
                    on: eventLoop, metadata: ["limits.pending_connections": "\(limits.pendingConnections)"])
            case .handshakes: busy.record(on: eventLoop, metadata: ["limits.handshakes": "\(limits.handshakes)"])
            case .failure: break
            }
        } onFailure: { eventLoop in
            failed.record(on: eventLoop, metadata: ["limits.connections": "\(limits.connections)"])
        }
    }
}

extension BufferedInputLimiter {
    /// Creates the limiter of a server with these limits. It logs one line a minute about connections that it closes.
    convenience init(_ limits: ConnectionLimits, logger: Logger) {
        let notice = RateLimitedWarning(
            """
            Closed the connections that held most bytes of unfinished lines: all connections together held more than \
            limits.buffered_input
            """, logger: logger)
        self.init(limit: limits.bufferedInput) { eventLoop in
            notice.record(on: eventLoop, metadata: ["limits.buffered_input": "\(limits.bufferedInput)"])
        }
    }
}

/// Counters of a server's connections, and of those that it rejected or closed.
package struct ConnectionCounters: Sendable, Hashable {
    /// Open connections, including those whose handshake is not done.
    package let connections: Int
    /// Connections without a complete ClientHello, or waiting for their handshake.
    package let pending: Int
    /// Connections whose handshake is in progress.
    package let handshakes: Int
    /// Connections that were rejected because their guest, tenant or address had too many.
    package let rejected: Int
    /// Connections that were closed before their handshake because their address connected too often.
    package let rateLimited: Int
    /// Connections that were closed so that others were served.
    package let displaced: Int
    /// Bytes of lines that have not ended, or that wait for their turn.
    package let bufferedInput: Int

    init(
        _ gate: ConnectionGate, _ addresses: AddressRateLimiter, _ admission: GuestAdmission,
        _ input: BufferedInputLimiter
    ) {
        let counts = gate.counts
        self.connections = counts.open
        self.pending = counts.silent + counts.waiting
        self.handshakes = counts.handshakes
        self.rateLimited = addresses.rejected
        self.rejected = admission.rejected
        self.displaced = gate.dropped + admission.displaced + input.closed
        self.bufferedInput = input.total
    }

    /// Logs one line with the counters, whatever the logger's level.
    ///
    /// Programs rely on the names and the numbers (Docs/operations.md).
    package func log(to logger: Logger) {
        var logger = logger
        logger.logLevel = min(logger.logLevel, .info)
        logger.info(
            "Connections",
            metadata: [
                "connections": "\(self.connections)", "connections_pending": "\(self.pending)",
                "handshakes": "\(self.handshakes)",
                "connections_refused": "\(self.rejected)",
                "connections_rate_limited": "\(self.rateLimited)",
                "connections_displaced": "\(self.displaced)",
                "buffered_input": "\(self.bufferedInput)",
            ])
    }
}
