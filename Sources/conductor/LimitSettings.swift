// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import ConductorService
import NIOCore
import Settings

/// The settings that limit the load which guests can cause, in addition to the limits of one connection's window and
/// lines.
enum LimitSettings {
    /// The declarations of these settings.
    static let declarations: [Setting] = [
        .integer(
            "limits.connections", 1...1_000_000, default: Self.defaults.connections,
            help:
                "Allow this many connections; beyond that, close the longest idle one of the guest with the most, in the tenant with the most."
        ),
        .integer(
            "limits.connections_per_guest", 1...1_000_000, default: Self.defaults.connectionsPerGuest,
            help: "Allow this many connections of one guest; reject the next one."),
        .integer(
            "limits.tenant_percent", 1...100, default: Self.defaults.tenantPercent,
            help: "Allow one tenant's guests this percentage of limits.connections; without a tenant, one address's."),
        .integer(
            "limits.tenant_guests_at_full_rate", 1...1_000_000, default: Self.defaults.tenantGuestsAtFullRate,
            help: "Allow a tenant's guests together the full rate of this many guests."),
        .integer(
            "limits.connections_per_second", 1...1_000_000, default: Self.defaults.newConnections.perSecond,
            help: "Accept this many new connections of one address a second; beyond that, close them at once."),
        .integer(
            "limits.connections_burst", 1...1_000_000, default: Self.defaults.newConnections.burst,
            help: "Accept a burst of this many new connections of one address that has been idle."),
        .integer(
            "limits.ipv6_prefix", 16...128, default: Self.defaults.ipv6PrefixLength,
            help: "Count IPv6 addresses with this many equal leading bits as one address."),
        .integer(
            "limits.pending_connections", 1...100_000, default: Self.defaults.pendingConnections,
            help: "Allow this many new connections that are silent or wait; beyond that, close the oldest silent one."),
        .seconds(
            "limits.hello_timeout", 0.1...60, default: Duration(Self.defaults.helloTimeout),
            help: "Close a new connection whose complete ClientHello takes longer than this."),
        .integer(
            "limits.handshakes", 1...100_000, default: Self.defaults.handshakes,
            help: "Run this many TLS handshakes at once; beyond that, new connections wait."),
        .integer(
            "limits.handshakes_per_address", 0...100_000, default: Self.defaults.handshakesPerAddress ?? 0,
            help: "Run this many TLS handshakes of one address at once; 0 for limits.handshakes / 32, and at least 4."),
        .integer(
            "limits.buffered_input", (1 << 20)...(1 << 40), default: Self.defaults.bufferedInput,
            help:
                "Buffer this many bytes of incomplete requests of all connections; beyond that, close the connection with the most."
        ),
        .seconds(
            "limits.idle_timeout", 1...604_800, default: Duration(Self.connectionDefaults.idleTimeout),
            help: "Close a connection that has received nothing for this long and has nothing in flight."),
        .seconds(
            "limits.line_timeout", 0.1...3600, default: Duration(Self.connectionDefaults.lineTimeout),
            help: "Close a connection whose line takes longer than this from its first byte to its end."),
        .integer(
            "limits.trace_bytes", 1024...(64 << 20), default: Self.reportDefaults.traceBytes,
            help: "Cut an error's trace (in JSON) and its text in the middle when it is longer than this many bytes."),
        .integer(
            "limits.payload_bytes", 1024...(64 << 20), default: Self.reportDefaults.payloadBytes,
            help:
                "Reject a payload and request context of more than this many bytes of JSON, not counting an error's text and trace."
        ),
        .integer(
            "limits.requests_per_second", 1...1_000_000, default: Self.defaults.rates.requestsPerSecond,
            help: "Allow one guest this many requests a second, over all its connections."),
        .integer(
            "limits.requests_burst", 1...10_000_000, default: Self.defaults.rates.requestsBurst,
            help: "Allow a guest that has been idle a burst of this many requests."),
        .integer(
            "limits.bytes_per_second", 1024...(1 << 40), default: Self.defaults.rates.bytesPerSecond,
            help: "Allow one guest this many bytes a second, read and published; beyond that, pause reading."),
        .integer(
            "limits.bytes_burst", 1024...(1 << 40), default: Self.defaults.rates.bytesBurst,
            help: "Allow a guest that has been idle a burst of this many bytes, sent and published."),
        .seconds(
            "limits.clock_skew", 0...315_360_000, default: Self.reportDefaults.clockSkew,
            help: "Allow an outcome's time to be this far after the conductor's, and before its context's signature."),
        .seconds(
            "limits.clock_lag", 0...3_155_760_000, default: Self.reportDefaults.clockLag,
            help:
                "Allow an outcome's time to be this far before its context's signature, where that is more than limits.clock_skew."
        ),
    ]

    private static let defaults = ConnectionLimits()
    private static let connectionDefaults = RPCServerHandler.Configuration()
    private static let reportDefaults = ReportLimits()
}

extension ConnectionLimits {
    init(_ settings: Settings) throws {
        self.init()
        self.connections = try settings.integer("limits.connections")
        self.connectionsPerGuest = try settings.integer("limits.connections_per_guest")
        self.newConnections.perSecond = try settings.integer("limits.connections_per_second")
        self.newConnections.burst = try settings.integer("limits.connections_burst")
        self.handshakes = try settings.integer("limits.handshakes")
        let handshakesPerAddress = try settings.integer("limits.handshakes_per_address")
        self.handshakesPerAddress = handshakesPerAddress == 0 ? nil : handshakesPerAddress
        self.tenantPercent = try settings.integer("limits.tenant_percent")
        self.tenantGuestsAtFullRate = try settings.integer("limits.tenant_guests_at_full_rate")
        self.ipv6PrefixLength = try settings.integer("limits.ipv6_prefix")
        self.pendingConnections = try settings.integer("limits.pending_connections")
        self.helloTimeout = TimeAmount(try settings.duration("limits.hello_timeout"))
        self.bufferedInput = try settings.integer("limits.buffered_input")
        let lineBytes = try settings.integer("limits.line_bytes")
        guard self.bufferedInput >= lineBytes else {
            throw LimitSettingsError(
                description:
                    "limits.buffered_input is \(self.bufferedInput), and a line may have limits.line_bytes, which is "
                    + "\(lineBytes): raise the first or lower the second.")
        }
        self.rates.requestsPerSecond = try settings.integer("limits.requests_per_second")
        self.rates.requestsBurst = try settings.integer("limits.requests_burst")
        self.rates.bytesPerSecond = try settings.integer("limits.bytes_per_second")
        self.rates.bytesBurst = try settings.integer("limits.bytes_burst")
    }
}

extension ReportLimits {
    init(_ settings: Settings) throws {
        self.init()
        self.traceBytes = try settings.integer("limits.trace_bytes")
        self.clockSkew = try settings.seconds("limits.clock_skew")
        self.clockLag = try settings.seconds("limits.clock_lag")
        self.payloadBytes = try settings.integer("limits.payload_bytes")
    }
}

extension RPCServerHandler.Configuration {
    /// Sets the deadlines from the settings.
    mutating func setDeadlines(_ settings: Settings) throws {
        self.idleTimeout = TimeAmount(try settings.duration("limits.idle_timeout"))
        self.lineTimeout = TimeAmount(try settings.duration("limits.line_timeout"))
    }
}

/// An error for limits that contradict each other.
struct LimitSettingsError: Error, CustomStringConvertible {
    let description: String
}
