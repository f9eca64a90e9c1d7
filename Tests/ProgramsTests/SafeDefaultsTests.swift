// SPDX-License-Identifier: Apache-2.0

import Foundation
import Subprocess
import Testing

/// Unsafe settings: those that cause a warning, and those that are rejected.
@Suite("Safe defaults", .timeLimit(.minutes(3)))
struct SafeDefaultsTests {
    /// The beginning of each setting's warning in `check-config` and in the log.
    private static let phrases = [
        "context_signatures.mode": "Contexts are not checked for signatures",
        "tls.guest_crl": "Guests' certificates are not checked against a revocation list",
        "identity.require_tenant": "Certificates without a tenant are accepted",
        "identity.trust_domain": "The trust domain is the default one of trial certificates",
        "messaging.transport_url": "The broker is reached without TLS",
    ]

    private let plaintext = #"messaging: {transport_url: "rabbit://user:hunter2@192.0.2.10/?ssl=0"}"#

    /// Writes a configuration that causes no warning, except for the given setting.
    private func safe(_ relay: RelayFixture, without setting: String? = nil) async throws -> String {
        let keys = ["pair.pem", "pair.pub"].map(relay.path)
        for arguments in [
            ["genpkey", "-algorithm", "ed25519", "-out", keys[0]],
            ["pkey", "-in", keys[0], "-pubout", "-out", keys[1]],
        ] {
            let end = try await Program("openssl").run(arguments)
            try #require(end.status == .exited(0), "\(end.errorText)")
        }
        let mode =
            setting == "context_signatures.mode" ? "off" : setting == "identity.require_tenant" ? "accept" : "require"
        let domain = setting == "identity.trust_domain" ? "conductor.test" : "cloud.example"
        let url = setting == "messaging.transport_url" ? "192.0.2.10/?ssl=0" : "192.0.2.10/?ssl=1"
        let list = setting == "tls.guest_crl" ? "" : "\n  guest_crl: \(relay.path("tls/ca.crl"))"
        let file = try relay.conductorFile(
            drivers: "messagingv2",
            more: """
                messaging: {transport_url: "rabbit://user:hunter2@\(url)"}
                identity: {trust_domain: \(domain), require_tenant: \(setting != "identity.require_tenant")}
                context_signatures: {mode: \(mode), keys: ["now:EdDSA:\(keys[1])"]}
                """)
        let text = try String(contentsOfFile: file, encoding: .utf8)
        let authority = "guest_ca: \(relay.path("tls/ca.pem"))"
        return try relay.write(text.replacing(authority, with: authority + list), to: "safe-\(UUID().uuidString).yaml")
    }

    @Test("check-config warns once of each unsafe setting, and --strict turns a warning into status 78")
    func checkConfigWarnings() async throws {
        try await RelayFixture.with { relay in
            let safe = try await self.safe(relay)
            let end = try await Program.conductor.run(["check-config", "--strict", "--config", safe])
            #expect(end.status == .exited(0) && end.standardError.isEmpty, "\(end.errorText)")
            for (setting, phrase) in Self.phrases {
                let file = try await self.safe(relay, without: setting)
                for (arguments, status) in [([], 0), (["--strict"], 78)] as [([String], Int32)] {
                    let end = try await Program.conductor.run(["check-config", "--config", file] + arguments)
                    #expect(end.status == .exited(.init(status)), "\(setting) \(end.errorText)")
                    #expect(end.standardError.count == 1, "\(setting) \(end.errorText)")
                    #expect(
                        end.errorText.hasPrefix("conductor: warning: \(phrase) (\(setting)): "), "\(end.errorText)")
                    #expect(!end.errorText.contains("hunter2"))
                }
            }
        }
    }

    @Test("serve logs one warning for each unsafe setting, and none when all settings are safe")
    func serveWarnings() async throws {
        try await RelayFixture.with { relay in
            let settings = "identity: {require_tenant: false}\n" + self.plaintext
            for driver in ["log", "messagingv2"] {
                let end = try await relay.withConductor(drivers: driver, more: settings) { conductor in
                    // All warnings are logged before the conductor listens.
                    for (setting, phrase) in Self.phrases where driver != "log" || setting != "messaging.transport_url"
                    {
                        let lines = conductor.program.standardError.all.filter { $0.contains(phrase) }
                        #expect(lines.count == 1, "\(setting)")
                        #expect(
                            lines.first?.contains(" warning ") == true
                                && lines.first?.contains("setting=\(setting)") == true)
                    }
                }
                #expect(!end.errorText.contains("hunter2"))
                #expect(end.errorText.contains("The broker is reached") == (driver != "log"))
            }
            let safe = try await self.safe(relay)
            _ = try await Program.conductor.run(["serve", "--config", safe]) { program in
                _ = try await relay.listening(program)
                for phrase in Self.phrases.values {
                    #expect(!program.standardError.all.contains { $0.contains(phrase) }, "\(phrase)")
                }
                try program.send(.terminate)
            }
        }
    }

    @Test(
        "Plaintext to a broker on another machine is rejected by serve, check-config and notify",
        arguments: ["rabbit://user:hunter2@192.0.2.10/", "amqp://127.0.0.1,user:hunter2@broker.example/trove"])
    func remotePlaintext(url: String) async throws {
        try await RelayFixture.with { relay in
            let file = try relay.conductorFile(drivers: "messagingv2", more: "messaging: {transport_url: \"\(url)\"}")
            for arguments in [["serve"], ["check-config"], ["notify", "dbaas.quotas", "--payload", "/dev/null"]] {
                let end = try await Program.conductor.run(arguments + ["--config", file])
                #expect(end.status == .exited(78) && end.standardError.count == 1, "\(end.errorText)")
                #expect(end.errorText.hasPrefix("conductor: messaging.transport_url: without TLS "), "\(end.errorText)")
                #expect(end.errorText.contains("?ssl=0") && !end.errorText.contains("hunter2"))
            }
        }
    }

    @Test("A tenant is required if the identity source can name one, unless the operator allows none")
    func requireTenant() async throws {
        try await RelayFixture.with { relay in
            let end = try await Program.conductor.run([
                "certificates", "guest", "bare", "--directory", relay.path("tls"),
            ])
            try #require(end.status == .exited(0), "\(end.errorText)")
            let context = try relay.contextFile(payload: #"{"instance_id": "bare", "dbname": "shop"}"#)
            let guest = try String(
                contentsOfFile: try relay.guestFile(ports: ["PORT"], drainTimeout: 1), encoding: .utf8
            )
            .replacing("guest-guest-1", with: "guest-bare")
            for (settings, isServed) in [
                ("", false), ("identity: {require_tenant: true}", false), ("identity: {require_tenant: false}", true),
                ("identity: {source: common_name}", true),
            ] {
                try await relay.withConductor(more: settings) { conductor in
                    let file = try relay.write(guest.replacing("PORT", with: conductor.port), to: "bare.yaml")
                    let end = try await Program.guestAgent.run([
                        "exec", "--config", file, "--set", "spool.directory=\(relay.path(UUID().uuidString))",
                        "--context",
                        context, "--", "true",
                    ])
                    #expect(end.status == .exited(0), "\(end.errorText)")
                    #expect(end.errorText.contains("names no tenant") != isServed, "\(settings): \(end.errorText)")
                    #expect(!end.errorText.contains("REFUSED"), "\(end.errorText)")
                    #expect(try conductor.notifications().isEmpty != isServed)
                    if settings.contains("require_tenant: false") {
                        _ = try await conductor.program.standardError.line(
                            containing: "certificate names no tenant, so")
                    }
                }
            }
            let file = try relay.conductorFile(more: "identity: {source: common_name, require_tenant: true}")
            for command in ["serve", "check-config"] {
                let end = try await Program.conductor.run([command, "--config", file])
                #expect(end.status == .exited(78) && end.standardError.count == 1, "\(end.errorText)")
                #expect(end.errorText.hasPrefix("conductor: identity.require_tenant: no guest could be served"))
            }
        }
    }

    @Test("conductor context warns when a signed context names no instance")
    func unboundContext() async throws {
        try await RelayFixture.with { relay in
            let key = relay.path("secret")
            let made = try await Program("openssl").run(["rand", "-base64", "-out", key, "48"])
            try #require(made.status == .exited(0))
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: key)
            for (operation, payload, more, isWarned) in [
                ("migrate", #"{"host": "h"}"#, ["--sign"], true),
                ("migrate", #"{"host": "h", "instance_id": ""}"#, ["--sign"], true),
                ("cluster_delete", #"{"cluster_id": "c"}"#, ["--sign"], true),
                ("cluster_delete", #"{"cluster_id": "c", "instance_id": "i"}"#, ["--sign"], false),
                ("migrate", #"{"host": "h"}"#, ["--sign", "--instance", "i"], false),
                ("migrate", #"{"host": "h", "instance_id": "i"}"#, ["--sign"], false),
                ("migrate", #"{"host": "h"}"#, [], false),
            ] as [(String, String, [String], Bool)] {
                let file = try relay.write(payload, to: "payload.json")
                let end = try await Program.conductor.run(
                    [
                        "context", operation, "--tenant", "t", "--client-ip", "c", "--payload", file, "--set",
                        "context_signatures.signing_key=k:HS256:\(key)",
                    ] + more)
                // The context is printed in each case.
                #expect(end.status == .exited(0) && end.standardOutput.count == 1, "\(payload) \(end.errorText)")
                #expect(
                    end.standardError.count { $0.hasPrefix("conductor: warning: the token names no instance") }
                        == (isWarned ? 1 : 0), "\(payload) \(end.errorText)")
            }
        }
    }
}
