// SPDX-License-Identifier: Apache-2.0

import GuestAgent
import Settings

/// The settings of `guest-agent`, and the configurations made from them.
enum GuestAgentSettings {
    static let schema = SettingsSchema(
        environmentPrefix: "GUEST_AGENT",
        settings: [
            .strings(
                "conductors", required: true, valueName: "HOST:PORT",
                help: "The conductors, host:port each, tried in turn."),
            .string(
                "tls.certificate", required: true, valueName: "FILE",
                help: "PEM file: this guest's certificate and its chain."),
            .string(
                "tls.key", required: true, valueName: "FILE", help: "PEM file: the certificate's private key."),
            .string(
                "tls.ca", required: true, valueName: "FILE",
                help: "PEM file: the authorities that conductors' certificates come from."),
            .integer("delivery.window", 1...10_000, default: 256, help: "Outcomes in flight at once."),
            .seconds("delivery.connect_timeout", 0.1...600, default: 10, help: "How long to wait for a connection."),
            .seconds(
                "delivery.answer_timeout", 0.1...3600, default: 60,
                help: "How long to wait for any answer before a connection counts as dead."),
            .seconds("delivery.maximum_backoff", 0.2...3600, default: 30, help: "The longest pause between attempts."),
            .seconds(
                "delivery.drain_timeout", 0...86_400, default: 30,
                help: "How long to go on delivering once the command has ended."),
            .choice(
                "log.level", among: ["debug", "info", "warning", "error"], default: "warning",
                help: "What is logged, on standard error."),
            .strings("redaction.fields", help: "Names of fields to redact besides the standard ones."),
            .strings(
                "redaction.patterns",
                help: "Texts with a * for the secret to redact besides the standard ones, such as `unlock with *`."),
            .string(
                "spool.directory", default: "/var/lib/guest-agent",
                help: "Where outcomes wait for a conductor, on a disk that outlives a restart."),
            .integer(
                "spool.maximum_count", 1...10_000_000, default: 100_000,
                help: "How many operations may run, wait or be set aside in one spool; past that no command is run."),
            .integer(
                "spool.maximum_mib", 1...65_536, default: 256,
                help: "How many MiB their contexts and outcomes may take, likewise."),
            .string(
                "tls.crl",
                help:
                    "PEM file: those authorities' revocation lists; a conductor whose issuer has no valid one is refused."
            ),
            .seconds(
                "tls.reload_interval", 0.1...3600, default: 1,
                help: "How often the files of `tls` are looked at; what has changed holds for the next connection."),
        ],
        ignoredEnvironment: ["GUEST_AGENT_TEST_", CommandRun.fieldsVariable])
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
