// SPDX-License-Identifier: Apache-2.0

import Foundation
import Subprocess
import Testing

/// Contexts that a control plane signs, from its key file to the published notification.
@Suite("Signed contexts", .timeLimit(.minutes(3)))
struct SignedContextsTests {
    /// A fixture's keys, as an operator makes them with OpenSSL.
    private struct Keys {
        let relay: RelayFixture

        init(_ relay: RelayFixture) async throws {
            self.relay = relay
            let (own, shown) = (relay.path("pair.pem"), relay.path("pair.pub"))
            for arguments in [
                ["genpkey", "-algorithm", "ed25519", "-out", own], ["pkey", "-in", own, "-pubout", "-out", shown],
                ["rand", "-base64", "-out", relay.path("secret"), "48"],
            ] {
                let end = try await Program("openssl").run(arguments)
                try #require(end.status == .exited(0), "\(end.errorText)")
            }
            try self.setMode(0o600, "pair.pem")
            try self.setMode(0o640, "secret")
        }

        func setMode(_ mode: Int, _ name: String) throws {
            try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: self.relay.path(name))
        }

        /// The conductor's settings for these keys.
        var settings: String {
            """
            context_signatures:
              mode: require
              keys: ["pair-1:EdDSA:\(self.relay.path("pair.pub"))", "shared.1:HS256:\(self.relay.path("secret"))"]
            """
        }

        /// Returns the control plane's key for an algorithm.
        func signing(_ algorithm: String) -> (kid: String, file: String) {
            algorithm == "EdDSA"
                ? ("pair-1", self.relay.path("pair.pem")) : ("shared.1", self.relay.path("secret"))
        }

        /// Runs `conductor context --sign`, and returns the context's line.
        func context(_ algorithm: String, _ more: [String] = []) async throws -> String {
            let (kid, file) = self.signing(algorithm)
            let payload = try self.relay.write(
                #"{"instance_id": "guest-1", "dbname": "café \u007f"}"#, to: "payload-\(UUID().uuidString).json")
            let end = try await Program.conductor.run(
                [
                    "context", "database_create", "--tenant", "tenant-1", "--user", "user-1", "--client-ip",
                    "192.0.2.7",
                    "--server-ip", "192.0.2.1", "--payload", payload, "--sign", "--set",
                    "context_signatures.signing_key=\(kid):\(algorithm):\(file)",
                ] + more)
            try #require(end.status == .exited(0), "\(end.errorText)")
            return try #require(end.standardOutput.first)
        }

        /// Runs PyJWT on contexts, one on each line, and returns its output.
        func python(_ command: String, _ algorithm: String, _ lines: [String], _ more: [String] = []) async throws
            -> [String]
        {
            let (kid, own) = self.signing(algorithm)
            let file = command == "read" && algorithm == "EdDSA" ? self.relay.path("pair.pub") : own
            let arguments = [command, "--key", file, "--kid", kid, "--alg", algorithm] + more
            let end = try await Compatibility.run("context_tokens", arguments) { program in
                for line in lines { try await program.write(line) }
            }
            try #require(end.status == .exited(0), "\(end.errorText)")
            return end.standardOutput
        }
    }

    @Test(
        "PyJWT reads a context that conductor context signs, and the conductor publishes it once",
        arguments: ["EdDSA", "HS256"])
    func signedContext(algorithm: String) async throws {
        try await RelayFixture.with { relay in
            let keys = try await Keys(relay)
            let line = try await keys.context(algorithm)
            let claims = try Notification(try #require(try await keys.python("read", algorithm, [line]).first)).object
            #expect(claims["tenant_id"] as? String == "tenant-1" && claims["instance_id"] as? String == "guest-1")
            let context = try relay.write(line, to: "context.json")
            let unsigned = try relay.contextFile()
            try await relay.withConductor(more: keys.settings + "\nlog: {level: debug}") { conductor in
                let end = try await relay.exec(["true"], ports: [conductor.port], context: context)
                #expect(end.status == .exited(0), "\(end.errorText)")
                let notification = try await conductor.notification(of: "dbaas.database_create.end")
                #expect(notification.payload["dbname"] as? String == "café \u{7f}")
                // A second outcome of this context, and an outcome of a context that is not signed.
                for context in [context, unsigned] {
                    let end = try await relay.exec(["false"], ports: [conductor.port], context: context)
                    #expect(end.status == .exited(1), "\(end.errorText)")
                    #expect(end.errorText.contains("REFUSED"), "\(end.errorText)")
                    #expect(end.errorText.contains("params.context.token"), "\(end.errorText)")
                }
                #expect(try conductor.notifications().count == 1)
                let token = try #require(try Notification(line).object["token"] as? String)
                #expect(!conductor.program.standardError.all.joined().contains(token))
                #expect(!conductor.program.standardOutput.all.joined().contains(token))
            }
        }
    }

    /// Payloads of all kinds, of which both sides must compute the same digest.
    private static let payloads = [
        #"{"instance_id": "guest-1", "dbname": "shop"}"#,
        #"{"dbname": "caf\u00e9 \ud83d\ude00 \u007f\u0000\u2028\\\"/", "instance_id": "guest-1", "Z": 1, "a": [], "é": {"b": {}, "a": null}}"#,
        #"{"instance_id": "guest-1", "dbname": "n", "n": [0, -1, 1.5, -0.0, 1e300, 1e16, 1e-7, 123456789012345678901234567890, true, false]}"#,
        #"{"instance_id": "guest-1", "dbname": "password=hunter2", "\ud83d\ude00": 1, "\uff5e": 2, "nested": {"z": [{"y": 1, "x": 2}]}}"#,
    ]

    @Test(
        "The conductor accepts contexts signed with the code in protocol.md, and rejects those with wrong claims",
        arguments: ["EdDSA", "HS256"])
    func signedInPython(algorithm: String) async throws {
        try await RelayFixture.with { relay in
            let keys = try await Keys(relay)
            let request = #"{"roles": ["admin", "m\u00e9mber"], "is_admin": true, "domain": null, "auth_token": "x"}"#
            let contexts = Self.payloads.map {
                #"{"operation": "database_create", "request_id": "req-1", "tenant_id": "tenant-1", "client_ip": null, "#
                    + #""payload": \#($0), "request_context": \#(request)}"#
            }
            let signed = try await keys.python("sign", algorithm, contexts, ["--instance", "guest-1"])
            try #require(signed.count == contexts.count)
            try await relay.withConductor(more: keys.settings) { conductor in
                for (index, line) in signed.enumerated() {
                    let context = try relay.write(line, to: "python-\(index).json")
                    let end = try await relay.exec(["true"], ports: [conductor.port], context: context)
                    #expect(end.status == .exited(0) && end.standardError.isEmpty, "\(end.errorText)")
                }
                #expect(try conductor.notifications().count == contexts.count)
                #expect(!conductor.program.standardOutput.all.joined().contains("hunter2"))
                for (claims, word) in [
                    (#"{"exp": 1000000100, "iat": 1000000000}"#, "expired"),
                    (#"{"tenant_id": "tenant-2"}"#, "tenant_id"),
                    (#"{"instance_id": "ABSENT", "payload_sha256": "00"}"#, "payload"),
                    (#"{"iat": 9999999999}"#, "iat"),
                    (#"{"aud": "billing"}"#, "aud"), (#"{"exp": "ABSENT"}"#, "exp"),
                ] {
                    let line = try #require(
                        try await keys.python("sign", algorithm, [contexts[0]], ["--claims", claims]).first)
                    let context = try relay.write(line, to: "python-\(UUID().uuidString).json")
                    let end = try await relay.exec(["true"], ports: [conductor.port], context: context)
                    #expect(end.errorText.contains("params.context.token"), "\(claims): \(end.errorText)")
                    #expect(end.errorText.contains(word), "\(claims): \(end.errorText)")
                }
                #expect(try conductor.notifications().count == contexts.count)
            }
        }
    }

    @Test("serve and check-config end with 78 for an unusable key and name the problem")
    func unusableKeys() async throws {
        try await RelayFixture.with { relay in
            let keys = try await Keys(relay)
            _ = try relay.write("short\n", to: "short")
            for (list, mode, word) in [
                ("", 0o600, "is empty"), ("k:HS256", 0o600, "kid:alg:path"), ("k:RS256:x", 0o600, "RS256"),
                ("k:hs256:x", 0o600, "HS256"), ("k y:HS256:\(relay.path("secret"))", 0o600, "kid"),
                ("k:HS256:\(relay.path("missing"))", 0o600, "does not exist"),
                ("k:HS256:\(relay.path("short"))", 0o600, "32"),
                ("k:HS256:\(relay.path("secret"))", 0o644, "chmod"),
                ("k:EdDSA:\(relay.path("pair.pem"))", 0o604, "chmod"),
                ("k:EdDSA:\(relay.path("secret"))", 0o600, "Ed25519"),
                ("k:HS256:\(relay.path("pair.pub"))", 0o600, "PEM"),
                ("k:EdDSA:\(relay.path("pair.pub")),k:HS256:\(relay.path("secret"))", 0o600, "two keys"),
            ] {
                for name in ["secret", "short", "pair.pem"] { try keys.setMode(mode, name) }
                let file = try relay.conductorFile(more: "context_signatures: {mode: accept}")
                let override = list.isEmpty ? [] : ["--set", "context_signatures.keys=\(list)"]
                for command in ["serve", "check-config"] {
                    let end = try await Program.conductor.run([command, "--config", file] + override)
                    #expect(end.status == .exited(78), "\(list)")
                    #expect(end.errorText.contains("context_signatures.keys"), "\(end.errorText)")
                    #expect(end.errorText.contains(word), "\(end.errorText)")
                }
            }
        }
    }

    @Test("conductor context prints no context if it has no usable signing key")
    func unusableSigningKeys() async throws {
        try await RelayFixture.with { relay in
            _ = try await Keys(relay)
            let context = [
                "context", "database_create", "--tenant", "t", "--client-ip", "192.0.2.7", "--payload",
                try relay.write(#"{"instance_id": "i", "dbname": "d"}"#, to: "payload.json"),
            ]
            for (more, status) in [
                (["--sign"], 78),
                (["--sign", "--set", "context_signatures.signing_key=k:EdDSA:\(relay.path("pair.pub"))"], 78),
                (["--instance", "i"], 64),
            ] as [([String], Int32)] {
                let end = try await Program.conductor.run(context + more)
                #expect(end.status == .exited(status) && end.standardOutput.isEmpty, "\(end.errorText)")
                #expect(end.errorText.contains(status == 78 ? "context_signatures.signing_key" : "--instance"))
            }
        }
    }
}
