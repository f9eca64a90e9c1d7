// SPDX-License-Identifier: Apache-2.0

import Foundation
import Subprocess
import Testing

/// Certificates that are renewed and revoked with the project's own commands, while the conductor runs.
@Suite("Certificate reload and renewal", .timeLimit(.minutes(2)))
struct LiveCertificatesTests {
    private func list(_ relay: RelayFixture) -> String { "tls.guest_crl=\(relay.path("tls/ca.crl"))" }

    private func serve(
        _ relay: RelayFixture, _ settings: [String] = [], _ body: (RelayFixture.Conductor) async throws -> Void
    ) async throws -> ProgramEnd {
        let file = try relay.conductorFile()
        let flags = settings.flatMap { ["--set", $0] }
        let end = try await Program.conductor.run(["serve", "--config", file] + flags) { program in
            try await body(try await relay.listening(program))
            try program.send(.terminate)
        }
        #expect(end.status == .exited(0), "\(end.errorText)")
        return end
    }

    private func revoke(_ relay: RelayFixture, _ names: [String]) async throws {
        let end = try await Program.conductor.run(
            ["certificates", "revoke"] + names + ["--directory", relay.path("tls")])
        try #require(end.status == .exited(0), "\(end.errorText)")
    }

    @Test("A revoked guest is disconnected within five seconds and cannot connect again")
    func revocation() async throws {
        try await RelayFixture.with { relay in
            _ = try await self.serve(relay, [self.list(relay)]) { conductor in
                try await relay.withTerminal(port: conductor.port) { guest in
                    let clock = ContinuousClock()
                    let begun = clock.now
                    try await self.revoke(relay, ["guest-guest-1"])
                    try await guest.standardOutput.end()
                    #expect(clock.now - begun < .seconds(5))
                }
                try await conductor.program.standardError.line(
                    containing: "Closed connections: their peers' certificates are revoked")
                let again = try await relay.exec(["true"], ports: [conductor.port], drainTimeout: 1)
                // The status is the command's; its outcome waits.
                #expect(again.status == .exited(0))
                #expect(again.errorText.contains("certificate revoked"), "\(again.errorText)")
                #expect(try conductor.notifications().isEmpty)
            }
        }
    }

    @Test("Removing an authority from tls.guest_ca disconnects only its guests within five seconds")
    func removedAuthority() async throws {
        try await RelayFixture.with { relay in
            let other = try await Program.conductor.run(["certificates", "init", "--directory", relay.path("other")])
            try #require(other.status == .exited(0), "\(other.errorText)")
            let (own, others) = try (
                String(contentsOfFile: relay.path("tls/ca.pem"), encoding: .utf8),
                String(contentsOfFile: relay.path("other/ca.pem"), encoding: .utf8)
            )
            func bundle(_ text: String) throws {
                try Data(text.utf8).write(to: URL(filePath: relay.path("bundle.pem")), options: .atomic)
            }
            _ = try relay.write(own + others, to: "bundle.pem")
            _ = try await self.serve(relay, ["tls.guest_ca=\(relay.path("bundle.pem"))"]) { conductor in
                let log = conductor.program.standardError
                try await relay.withTerminal(port: conductor.port) { guest in
                    // First another order, then without the other authority: neither affects this guest.
                    for text in [others + own, own] {
                        try bundle(text)
                        try await log.line(containing: "Reloaded certificates for new connections")
                    }
                    try await guest.write(#"{"jsonrpc":"2.0","id":5,"method":"ping"}"#)
                    try await guest.standardOutput.line(containing: #""id":5"#)
                    let clock = ContinuousClock()
                    let begun = clock.now
                    try bundle(others)
                    try await guest.standardOutput.end()
                    #expect(clock.now - begun < .seconds(5))
                }
                try await log.line(containing: "no trusted authority has issued their peers' certificates")
            }
        }
    }

    @Test("An own certificate that peers would reject is rejected at start with setting and remedy")
    func ownCertificate() async throws {
        try await RelayFixture.with { relay in
            // `openssl x509` makes certificates without an extended key usage by default.
            for name in ["conductor", "guest-guest-1"] {
                let request = try await Program("openssl").run([
                    "req", "-new", "-key", relay.path("tls/\(name).key"), "-subj", "/CN=x", "-out",
                    relay.path("request"),
                ])
                try #require(request.status == .exited(0), "\(request.errorText)")
                let made = try await Program("openssl").run([
                    "x509", "-req", "-in", relay.path("request"), "-CA", relay.path("tls/ca.pem"), "-CAkey",
                    relay.path("tls/ca.key"), "-CAcreateserial", "-days", "1", "-out", relay.path("tls/\(name).pem"),
                ])
                try #require(made.status == .exited(0), "\(made.errorText)")
            }
            for command in ["serve", "check-config"] {
                let end = try await Program.conductor.run([command, "--config", try relay.conductorFile()])
                #expect(end.status == .exited(75))
                #expect(end.errorText.contains("conductor: tls.certificate: "), "\(end.errorText)")
                #expect(end.errorText.contains("peers reject") && end.errorText.contains("serverAuth"))
            }
            let guest = try await relay.exec(["true"], ports: ["1"])
            #expect(guest.status == .exited(78))
            #expect(guest.errorText.contains("tls.certificate: ") && guest.errorText.contains("clientAuth"))
            let status = try await relay.guestAgent(["status"])
            #expect(status.standardOutput.contains { $0.contains("CANNOT BE USED") && $0.contains("clientAuth") })
        }
    }

    @Test("At the longest reload interval, a revoked guest is disconnected within five seconds")
    func longestInterval() async throws {
        try await RelayFixture.with { relay in
            let file = try relay.conductorFile()
            let longer = try await Program.conductor.run([
                "check-config", "--config", file, "--set", "tls.reload_interval=3.1",
            ])
            #expect(longer.status == .exited(78) && longer.errorText.contains("tls.reload_interval"))
            _ = try await self.serve(relay, [self.list(relay), "tls.reload_interval=3"]) { conductor in
                try await relay.withTerminal(port: conductor.port) { guest in
                    try await self.revoke(relay, ["guest-guest-1"])
                    let clock = ContinuousClock()
                    let begun = clock.now
                    try await guest.standardOutput.end()
                    #expect(clock.now - begun < .seconds(5))
                }
            }
        }
    }

    @Test("SIGHUP reloads the certificates and logs the result, and connections stay open")
    func hangUp() async throws {
        try await RelayFixture.with { relay in
            // The longest interval. For files that have not changed, a line is logged only after SIGHUP.
            _ = try await self.serve(relay, ["tls.reload_interval=3"]) { conductor in
                let log = conductor.program.standardError
                try await relay.withTerminal(port: conductor.port) { guest in
                    try conductor.program.send(.terminalClosed)
                    try await log.line(containing: "hold what is in use already")
                    let key = relay.path("tls/conductor.key")
                    let good = try Data(contentsOf: URL(filePath: key))
                    _ = try relay.write("nonsense", to: "tls/conductor.key")
                    try conductor.program.send(.terminalClosed)
                    #expect(try await log.line(containing: "Failed to load the certificate files").contains(key))
                    try good.write(to: URL(filePath: key))
                    try conductor.program.send(.terminalClosed)
                    try await log.line(containing: "certificate files are usable again")
                    try await guest.write(#"{"jsonrpc":"2.0","id":5,"method":"ping"}"#)
                    try await guest.standardOutput.line(containing: #""id":5"#)
                }
            }
        }
    }

    @Test("A key that others may read is rejected at start with the setting and the command to run")
    func exposedKey() async throws {
        try await RelayFixture.with { relay in
            for name in ["conductor", "guest-guest-1"] {
                try FileManager.default.setAttributes(
                    [.posixPermissions: 0o644], ofItemAtPath: relay.path("tls/\(name).key"))
            }
            for command in ["serve", "check-config"] {
                let end = try await Program.conductor.run([command, "--config", try relay.conductorFile()])
                #expect(end.status == .exited(75))
                #expect(end.errorText.contains("conductor: tls.key: "), "\(end.errorText)")
                #expect(end.errorText.contains("chmod 06") && end.errorText.contains(relay.path("tls/conductor.key")))
            }
            let guest = try await relay.exec(["true"], ports: ["1"])
            #expect(guest.status == .exited(78))
            #expect(guest.errorText.contains("tls.key: ") && guest.errorText.contains("chmod 06"), "\(guest.errorText)")
        }
    }

    @Test("An unusable revocation list is named by its setting")
    func unusableRevocationList() async throws {
        try await RelayFixture.with { relay in
            let missing = try await Program.conductor.run([
                "check-config", "--config", try relay.conductorFile(), "--set", "tls.guest_crl=/nonexistent/ca.crl",
            ])
            #expect(
                missing.status == .exited(75) && missing.errorText.contains("tls.guest_crl: "), "\(missing.errorText)")
            let other = try await Program.conductor.run(["certificates", "init", "--directory", relay.path("other")])
            try #require(other.status == .exited(0))
            let foreign = try await Program.conductor.run([
                "check-config", "--config", try relay.conductorFile(), "--set",
                "tls.guest_crl=\(relay.path("other/ca.crl"))",
            ])
            #expect(foreign.status == .exited(75), "\(foreign.errorText)")
            #expect(foreign.errorText.contains("tls.guest_ca, tls.guest_crl: "), "\(foreign.errorText)")
        }
    }

    @Test("check-config prints how long certificates are valid, and status which one to renew")
    func remainingValidity() async throws {
        try await RelayFixture.with { relay in
            let long = try await Program.conductor.run([
                "check-config", "--config", try relay.conductorFile(), "--set", self.list(relay),
            ])
            #expect(long.status == .exited(0) && !long.errorText.contains("days left"), "\(long.errorText)")
            for what in ["certificate CN=conductor", "authority CN=Throw-away", "revocation list CN=Throw-away"] {
                let line = long.standardOutput.first { $0.hasPrefix(what) }
                #expect(line?.contains("36") == true && line?.hasSuffix("days left") == true, "\(line ?? what)")
            }
            // A guest's certificate that is valid for zero days, and so ends at once.
            let end = try await Program.conductor.run([
                "certificates", "guest", "brief", "--directory", relay.path("tls"), "--days", "0",
            ])
            try #require(end.status == .exited(0), "\(end.errorText)")
            let status = try await relay.guestAgent([
                "status", "--set", "tls.certificate=\(relay.path("tls/guest-brief.pem"))", "--set",
                "tls.key=\(relay.path("tls/guest-brief.key"))",
            ])
            #expect(
                status.standardOutput.contains { $0.hasPrefix("certificate CN=brief") && $0.hasSuffix("RENEW IT") },
                "\(status.standardOutput) \(status.errorText)")
        }
    }

    @Test("Revoked certificates stay on the revocation list when it is renewed")
    func renewedList() async throws {
        try await RelayFixture.with { relay in
            try await self.revoke(relay, ["guest-guest-1", "conductor"])
            try await self.revoke(relay, [])
            let text = try await Program("openssl").run([
                "crl", "-in", relay.path("tls/ca.crl"), "-CAfile", relay.path("tls/ca.pem"), "-noout", "-text",
                "-verify",
            ])
            #expect(text.status == .exited(0) && text.errorText.contains("verify OK"), "\(text.errorText)")
            #expect(text.standardOutput.filter { $0.contains("Serial Number:") }.count == 2)
            #expect(text.standardOutput.joined(separator: "\n").contains("X509v3 CRL Number: \n                3"))
            let nobody = try await Program.conductor.run([
                "certificates", "revoke", "guest-nobody", "--directory", relay.path("tls"),
            ])
            #expect(nobody.status != .exited(0) && nobody.errorText.contains("guest-nobody.pem"))
        }
    }
}
