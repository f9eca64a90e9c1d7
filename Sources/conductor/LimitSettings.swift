import ConductorRPC
import ConductorService
import NIOCore
import Settings

/// The settings that bound what guests can make the conductor do, besides those that have been there from the beginning.
enum LimitSettings {
    /// What there is to set.
    static let declarations: [Setting] = [
        .integer(
            "limits.connections", 1...1_000_000, default: Self.defaults.connections,
            help: "Connections in all; past that new ones wait in the kernel's backlog."),
        .integer(
            "limits.connections_per_guest", 1...1_000_000, default: Self.defaults.connectionsPerGuest,
            help: "Connections of one guest; the next one is refused."),
        .integer(
            "limits.connections_per_second", 1...1_000_000, default: Self.defaults.newConnections.perSecond,
            help: "New connections of one address (of IPv6: one /64) a second; past that they are closed at once."),
        .integer(
            "limits.connections_burst", 1...1_000_000, default: Self.defaults.newConnections.burst,
            help: "New connections at once of one address that has been quiet."),
        .integer(
            "limits.handshakes", 1...100_000, default: Self.defaults.handshakes,
            help: "TLS handshakes under way; past that new connections wait in the kernel's backlog."),
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
        self.payloadBytes = try settings.integer("limits.payload_bytes")
    }
}

extension RPCServerHandler.Configuration {
    /// Takes the deadlines from the settings.
    mutating func setDeadlines(_ settings: Settings) throws {
        self.idleTimeout = .nanoseconds(Int64(try settings.seconds("limits.idle_timeout") * 1e9))
        self.lineTimeout = .nanoseconds(Int64(try settings.seconds("limits.line_timeout") * 1e9))
    }
}
