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
            help: "Guests' connections in all; past that the quietest of the tenant that has most is closed."),
        .integer(
            "limits.connections_per_guest", 1...1_000_000, default: Self.defaults.connectionsPerGuest,
            help: "Connections of one guest; the next one is refused."),
        .integer(
            "limits.tenant_percent", 1...100, default: Self.defaults.tenantPercent,
            help: "Percent of limits.connections for one tenant's guests; without a tenant, for one address's."),
        .integer(
            "limits.tenant_guests_at_full_rate", 1...1_000_000, default: Self.defaults.tenantGuestsAtFullRate,
            help: "A tenant's guests together may send what so many guests may at their full rate."),
        .integer(
            "limits.connections_per_second", 1...1_000_000, default: Self.defaults.newConnections.perSecond,
            help: "New connections of one address a second; past that they are closed at once."),
        .integer(
            "limits.connections_burst", 1...1_000_000, default: Self.defaults.newConnections.burst,
            help: "New connections at once of one address that has been quiet."),
        .integer(
            "limits.ipv6_prefix", 16...128, default: Self.defaults.ipv6PrefixLength,
            help: "Leading bits of an IPv6 address that count as one address."),
        .integer(
            "limits.pending_connections", 1...100_000, default: Self.defaults.pendingConnections,
            help: "New connections that have not said anything or wait; past that the oldest silent one is closed."),
        .seconds(
            "limits.hello_timeout", 0.1...60, default: 2,
            help: "How long the complete ClientHello of a new connection may take."),
        .integer(
            "limits.handshakes", 1...100_000, default: Self.defaults.handshakes,
            help: "TLS handshakes under way; past that new connections wait."),
        .integer(
            "limits.handshakes_per_address", 0...100_000, default: 0,
            help: "TLS handshakes under way of one address; 0 for limits.handshakes / 32, and at least 4."),
        .integer(
            "limits.buffered_input", (1 << 20)...(1 << 40), default: Self.defaults.bufferedInput,
            help: "Bytes of requests that have not ended, of all connections; past that the largest is closed."),
        .seconds(
            "limits.idle_timeout", 1...604_800, default: 3600,
            help: "A connection is closed on which nothing came for so long and nothing is in flight."),
        .seconds(
            "limits.line_timeout", 0.1...3600, default: 60,
            help: "How long a line may take from its first byte to its end."),
        .integer(
            "limits.trace_bytes", 1024...(64 << 20), default: Self.reportDefaults.traceBytes,
            help: "Bytes of an error's trace in JSON, and of its text; what is longer is cut in the middle."),
        .integer(
            "limits.payload_bytes", 1024...(64 << 20), default: Self.reportDefaults.payloadBytes,
            help: "Bytes of a notification's payload and request context in JSON, an error's text and trace apart."),
        .integer(
            "limits.requests_per_second", 1...1_000_000, default: Self.defaults.rates.requestsPerSecond,
            help: "Requests of one guest a second, over all its connections."),
        .integer(
            "limits.requests_burst", 1...10_000_000, default: Self.defaults.rates.requestsBurst,
            help: "Requests that a guest may send at once when it has been quiet."),
        .integer(
            "limits.bytes_per_second", 1024...(1 << 40), default: Self.defaults.rates.bytesPerSecond,
            help: "Bytes of one guest a second, read and published; past that it is not read for a moment."),
        .integer(
            "limits.bytes_burst", 1024...(1 << 40), default: Self.defaults.rates.bytesBurst,
            help: "Bytes that a guest may send and have published at once when it has been quiet."),
        .seconds(
            "limits.clock_skew", 0...315_360_000, default: Self.reportDefaults.clockSkew,
            help: "How far an outcome's time may be after the conductor's, and before its context's signature."),
        .seconds(
            "limits.clock_lag", 0...3_155_760_000, default: Self.reportDefaults.clockLag,
            help: "How far it may be before its context's signature, where that is more than limits.clock_skew."),
    ]

    private static let defaults = ConnectionLimits()
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
        self.helloTimeout = .nanoseconds(Int64(try settings.seconds("limits.hello_timeout") * 1e9))
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
        self.idleTimeout = .nanoseconds(Int64(try settings.seconds("limits.idle_timeout") * 1e9))
        self.lineTimeout = .nanoseconds(Int64(try settings.seconds("limits.line_timeout") * 1e9))
    }
}

/// An error for limits that contradict each other.
struct LimitSettingsError: Error, CustomStringConvertible {
    let description: String
}
