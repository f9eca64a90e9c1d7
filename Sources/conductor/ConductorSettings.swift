// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import ConductorService
import Foundation
import NIOCore
import Notifications
import Notifier
import Settings
import TLSChannel

/// The settings of `conductor serve`, and the configurations made from them.
enum ConductorSettings {
    static let schema = SettingsSchema(
        environmentPrefix: "CONDUCTOR",
        settings: [
            .string(
                "listen.host", default: "0.0.0.0",
                help: "Listen for guests on this address; `*` for all addresses, IPv6 and IPv4."),
            .integer(
                "listen.port", 0...65535, default: RPCProtocol.defaultPort,
                help: "Listen on this TCP port; 0 lets the system choose one."),
            .string(
                "tls.certificate", required: true, valueName: "FILE",
                help: "Read the conductor's certificate and its chain from this PEM file."),
            .string(
                "tls.key", required: true, valueName: "FILE",
                help: "Read the certificate's private key from this PEM file."),
            .string(
                "tls.guest_ca", required: true, valueName: "FILE",
                help: "Read the authorities of guests' certificates from this PEM file."),
            .choice(
                "tls.minimum_version", among: TLSVersion.allCases.map(\.rawValue),
                default: TLSConfiguration.defaultMinimumVersion.rawValue,
                help: "Accept no TLS version older than this."),
            .choices(
                "drivers", among: DriverName.allCases.map(\.rawValue), required: true,
                valueName: DriverName.log.rawValue,
                help: "Send notifications to these drivers: `messagingv2` for RabbitMQ with oslo's envelope."),
            .secret(
                "messaging.transport_url", redact: MessagingConfiguration.redacted,
                help: "Connect to RabbitMQ at rabbit://user:password@host:port,host2:port/vhost?ssl=1; not by `--set`."),
            .string(
                "messaging.exchange", default: Self.messaging.exchange,
                help: "Publish on this topic exchange; oslo's control_exchange."
            ),
            .string(
                "messaging.topic", default: Self.messaging.topic,
                help: "Publish to the queues <topic>.<priority>; oslo's topics."),
            .boolean(
                "messaging.durable", default: Self.messaging.isDurable,
                help: "Declare the exchange and the queues durable; oslo's amqp_durable_queues."),
            .choice(
                "messaging.queue_type", among: MessagingConfiguration.QueueType.allCases.map(\.rawValue),
                default: Self.messaging.queueType.rawValue,
                help: "Declare queues of this kind; oslo's rabbit_quorum_queue."),
            .seconds(
                "messaging.publish_timeout", 1...3600, default: Self.messaging.publishTimeout,
                help: "Wait this long for the broker to confirm a notification."),
            .seconds(
                "messaging.maximum_backoff", 0.5...3600, default: Self.messaging.maximumBackoff,
                help: "Wait at most this long between attempts to connect to the broker."),
            .string(
                "publisher.host",
                help: "Use this host in publisher_id, conductor.<host>; by default this machine's name."),
            .string(
                "publisher.address",
                help:
                    "Publish this server_ip; by default the address that the guest connected to. Set it alike on redundant "
                    + "conductors, so that a notification stays the same whichever of them repeats it."),
            .strings("catalogue.files", help: "Read other services' operations and events from these YAML files."),
            .strings(
                "catalogue.enable", help: "Publish these events, which are off by default: types, or prefixes with a *."
            ),
            .strings(
                "catalogue.disable",
                help: "Do not publish these events, written in the same way; overrides catalogue.enable."),
            .integer(
                "limits.line_bytes", 1024...(64 << 20), default: Self.server.connection.maximumLineLength,
                help: "Reject requests longer than this many bytes."),
            .integer(
                "limits.window", 1...100_000, default: Self.server.connection.window,
                help: "Stop reading a connection while it has this many requests in flight."),
            .integer(
                "limits.window_bytes", 1024...(1 << 30), default: Self.server.connection.windowBytes,
                help: "Stop reading a connection while it has this many bytes of requests in flight."),
            .seconds(
                "limits.handshake_timeout", 0.1...600, default: Duration(Self.server.handshakeTimeout),
                help: "Close a connection whose TLS handshake takes longer than this."),
            .integer(
                "limits.remembered_ids", 0...10_000_000, default: Relay.defaultRememberedIDs,
                help:
                    "Remember this many published outcomes to detect repetitions, dropping the oldest first; 0 for none."
            ),
            .seconds(
                "drain_timeout", 0...3600, default: Duration(Self.server.connection.drainTimeout),
                help: "When stopping, answer accepted requests for at most this long."),
            .choice(
                "log.level", among: ["debug", "info", "warning", "error"], default: "info",
                help: "Log messages of this level and above, on standard error."),
            .boolean(
                "audit.outcomes", default: true,
                help: "Log a line for each accepted outcome, with the guest that it came from."),
            .strings("redaction.fields", help: "Redact fields with these names in addition to the standard ones."),
            .strings(
                "redaction.patterns",
                help:
                    "Redact the secret in these texts, each with a * in its place, such as `unlock with *`, in addition to the standard ones."
            ),
        ] + ReportSettings.declarations + CertificateSettings.declarations + IdentitySettings.declarations
            + LimitSettings.declarations + SignatureSettings.declarations,
        ignoredEnvironment: ["CONDUCTOR_TEST_"])

    /// The settings of `notify`, which requires no certificates because it serves no guests.
    static let notifySchema = Self.schema.requiring(only: ["drivers"])
    /// The settings of `context`, which requires none because it sends nothing.
    static let contextSchema = Self.schema.requiring(only: [])

    private static let messaging = MessagingConfiguration(transportURL: "")
    private static let server = ConductorServer.Configuration(host: "", port: RPCProtocol.defaultPort)
}

extension ConductorServer.Configuration {
    init(_ settings: Settings) throws {
        self.init(host: try settings.string("listen.host"), port: try settings.integer("listen.port"))
        self.handshakeTimeout = TimeAmount(try settings.duration("limits.handshake_timeout"))
        self.connection.maximumLineLength = try settings.integer("limits.line_bytes")
        self.connection.window = try settings.integer("limits.window")
        self.connection.windowBytes = try settings.integer("limits.window_bytes")
        try self.connection.setDeadlines(settings)
        self.limits = try ConnectionLimits(settings)
        self.connection.drainTimeout = TimeAmount(try settings.duration("drain_timeout"))
    }
}

extension TLSConfiguration {
    init(_ settings: Settings) throws {
        self.init(
            role: .server, certificateChain: .file(try settings.string("tls.certificate")),
            privateKey: .file(try settings.string("tls.key")),
            trustRoots: .file(try settings.string("tls.guest_ca")),
            revocationLists: try settings.optionalString("tls.guest_crl").map(TLSSource.file),
            minimumVersion: TLSVersion(rawValue: try settings.string("tls.minimum_version"))
                ?? TLSConfiguration.defaultMinimumVersion,
            applicationProtocols: [RPCProtocol.applicationProtocol])
    }
}

extension MessagingConfiguration {
    /// - Returns: nil when no transport URL is set.
    init?(_ settings: Settings) throws {
        guard let transportURL = try settings.optionalString("messaging.transport_url") else { return nil }
        self.init(transportURL: transportURL)
        self.exchange = try settings.string("messaging.exchange")
        self.topic = try settings.string("messaging.topic")
        self.isDurable = try settings.boolean("messaging.durable")
        self.queueType = QueueType(rawValue: try settings.string("messaging.queue_type")) ?? self.queueType
        self.publishTimeout = try settings.duration("messaging.publish_timeout")
        self.maximumBackoff = try settings.duration("messaging.maximum_backoff")
    }
}

extension Redaction {
    /// - Throws: ``RedactionError`` when a field or pattern cannot be used.
    init(_ settings: Settings) throws {
        try self.init(
            fields: try settings.strings("redaction.fields"), patterns: try settings.strings("redaction.patterns"))
    }
}

extension Settings {
    /// Returns the names of the configured drivers.
    func drivers() throws -> [DriverName] { try self.strings("drivers").compactMap(DriverName.init) }

    /// Returns the `publisher_id` of the notifications.
    func publisherID() throws -> String { "\(Relay.serverType).\(try self.publisherHost())" }

    /// Returns the host in the `publisher_id` of the notifications.
    func publisherHost() throws -> String {
        try self.optionalString("publisher.host") ?? ProcessInfo.processInfo.hostName
    }
}
