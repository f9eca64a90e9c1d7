// SPDX-License-Identifier: Apache-2.0

import GuestAgent
import GuestSpool
import Notifications
import Settings

/// The settings of `guest-agent`, and the configurations made from them.
enum GuestAgentSettings {
    static let schema = SettingsSchema(
        environmentPrefix: "GUEST_AGENT",
        settings: [
            .strings(
                "conductors", required: true, valueName: "HOST:PORT",
                help: "Report to these conductors, host:port each, tried in turn."),
            .string(
                "tls.certificate", required: true, valueName: "FILE",
                help: "Read this guest's certificate and its chain from this PEM file."),
            .string(
                "tls.key", required: true, valueName: "FILE",
                help: "Read the certificate's private key from this PEM file."),
            .string(
                "tls.ca", required: true, valueName: "FILE",
                help: "Read the authorities of conductors' certificates from this PEM file."),
            .integer(
                "delivery.window", 1...10_000, default: Self.defaults.window,
                help: "Keep at most this many outcomes in flight."),
            .seconds(
                "delivery.connect_timeout", 0.1...600, default: Self.defaults.connectTimeout,
                help: "Wait this long for a connection."),
            .seconds(
                "delivery.answer_timeout", 0.1...3600, default: Self.defaults.answerTimeout,
                help: "Close a connection when a request waits and no answer arrives for this long."),
            .seconds(
                "delivery.maximum_backoff", 0.2...3600, default: Self.defaults.maximumBackoff,
                help: "Wait at most this long between attempts."),
            .seconds(
                "delivery.drain_timeout", 0...86_400, default: Self.defaults.drainTimeout,
                help: "Go on delivering for at most this long once the command has ended."),
            .choice(
                "log.level", among: ["debug", "info", "warning", "error"], default: "warning",
                help: "Log messages of this level and above, on standard error."),
            .strings("redaction.fields", help: "Redact fields with these names in addition to the standard ones."),
            .strings(
                "redaction.patterns",
                help:
                    "Redact the secret in these texts, each with a * in its place, such as `unlock with *`, in addition to the standard ones."
            ),
            .string(
                "spool.directory", default: "/var/lib/guest-agent",
                help:
                    "Store outcomes in this directory until a conductor accepts them, on a disk that outlives a restart."
            ),
            .integer(
                "spool.maximum_count", 1...10_000_000, default: Self.spoolDefaults.maximumCount,
                help:
                    "Allow this many running, waiting and set-aside operations in one spool; beyond that, run no command."
            ),
            .integer(
                "spool.maximum_mib", 1...65_536, default: Self.spoolDefaults.maximumBytes >> 20,
                help: "Allow their contexts and outcomes this many MiB in one spool; beyond that, run no command."),
            .string(
                "tls.crl",
                help:
                    "Read the authorities' revocation lists from this PEM file; reject conductors whose issuer has no valid list."
            ),
            .seconds(
                "tls.reload_interval", 0.1...3600, default: Self.defaults.reloadInterval,
                help: "Check the files of `tls` this often; changes apply to the next connection."),
        ],
        ignoredEnvironment: ["GUEST_AGENT_TEST_", CommandRun.fieldsVariable])

    private static let defaults = GuestAgent.Configuration(
        conductors: [], certificateFile: "", keyFile: "", caFile: "")
    private static let spoolDefaults = Spool.Configuration()
}

extension GuestAgent.Configuration {
    init(_ settings: Settings) throws {
        var conductors: [ConductorAddress] = []
        for text in try settings.strings("conductors") {
            guard let address = ConductorAddress(text) else {
                throw GuestAgentError(
                    .invalidConfiguration,
                    "conductors: entry \(conductors.count + 1) is no address; write host:port or [ipv6]:port.")
            }
            conductors.append(address)
        }
        self.init(
            conductors: conductors, certificateFile: try settings.string("tls.certificate"),
            keyFile: try settings.string("tls.key"), caFile: try settings.string("tls.ca"))
        self.crlFile = try settings.optionalString("tls.crl")
        self.reloadInterval = try settings.duration("tls.reload_interval")
        self.window = try settings.integer("delivery.window")
        self.connectTimeout = try settings.duration("delivery.connect_timeout")
        self.answerTimeout = try settings.duration("delivery.answer_timeout")
        self.maximumBackoff = try settings.duration("delivery.maximum_backoff")
        self.drainTimeout = try settings.duration("delivery.drain_timeout")
        do {
            self.redaction = try Redaction(
                fields: try settings.strings("redaction.fields"), patterns: try settings.strings("redaction.patterns"))
        } catch let error as RedactionError {
            throw GuestAgentError(.invalidConfiguration, "redaction.\(error.part.rawValue)s: \(error).")
        }
    }
}
