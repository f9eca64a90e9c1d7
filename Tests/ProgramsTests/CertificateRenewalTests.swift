// SPDX-License-Identifier: Apache-2.0

import Foundation
import Subprocess
import Testing

@Suite("conductor certificates renew", .timeLimit(.minutes(2)))
struct CertificateRenewalTests {
    private func renew(_ relay: RelayFixture, _ arguments: [String]) async throws -> ProgramEnd {
        try await Program.conductor.run(["certificates", "renew"] + arguments + ["--directory", relay.path("tls")])
    }

    private func data(_ relay: RelayFixture, _ name: String) throws -> Data {
        try Data(contentsOf: URL(filePath: relay.path("tls/\(name)")))
    }

    /// Returns one fact of a certificate, as `openssl x509` prints it.
    private func fact(_ relay: RelayFixture, _ name: String, _ options: String...) async throws -> String {
        try await Program("openssl").run(["x509", "-noout", "-in", relay.path("tls/\(name)")] + options)
            .standardOutput.joined(separator: "\n")
    }

    @Test("A renewed certificate keeps its key and names, and has a new serial number and end")
    func renewal() async throws {
        try await RelayFixture.with { relay in
            for (name, file) in [
                ("guest-guest-1", "guest-guest-1.pem"), ("conductor", "conductor.pem"), ("ca", "ca.pem"),
            ] {
                let key = try self.data(relay, "\(name).key")
                let kept = ["-subject", "-issuer", "-ext", "subjectAltName,extendedKeyUsage,basicConstraints,keyUsage"]
                var before = (names: "", serial: "", end: "")
                var after = before
                for _ in 0..<2 {
                    (before, after) = (
                        after,
                        (
                            try await Program("openssl").run(
                                ["x509", "-noout", "-in", relay.path("tls/\(file)"), "-pubkey"] + kept
                            ).standardOutput.joined(separator: "\n"), try await self.fact(relay, file, "-serial"),
                            try await self.fact(relay, file, "-enddate")
                        )
                    )
                    guard before.names.isEmpty else { break }
                    let end = try await self.renew(relay, [name, "--days", "700"])
                    #expect(end.status == .exited(0), "\(end.errorText)")
                    #expect(end.standardOutput == ["Wrote \(relay.path("tls/\(file)"))."])
                    // The authority's certificate expires in a year, until it is renewed.
                    #expect(end.errorText.contains("renew ca") == (name != "ca"), "\(end.errorText)")
                }
                #expect(before.names == after.names && !after.names.isEmpty)
                #expect(before.serial != after.serial && before.end != after.end)
                #expect(try self.data(relay, "\(name).key") == key)
            }
            for (name, purpose) in [("conductor", "sslserver"), ("guest-guest-1", "sslclient")] {
                let end = try await Program("openssl").run([
                    "verify", "-CAfile", relay.path("tls/ca.pem"), "-purpose", purpose, relay.path("tls/\(name).pem"),
                ])
                #expect(end.status == .exited(0), "\(end.errorText)")
            }
            #expect(!FileManager.default.fileExists(atPath: relay.path("tls/conductor.pem.new")))
        }
    }

    @Test("renew can replace the names and addresses of the conductor, but not those of a guest")
    func newNames() async throws {
        try await RelayFixture.with { relay in
            let end = try await self.renew(relay, ["conductor", "--name", "relay.example", "--name", "192.0.2.7"])
            #expect(end.status == .exited(0), "\(end.errorText)")
            let names = try await self.fact(relay, "conductor.pem", "-ext", "subjectAltName")
            #expect(
                names.contains("DNS:relay.example, IP Address:192.0.2.7") && !names.contains("localhost"), "\(names)")
            let guest = try await self.renew(relay, ["guest-guest-1", "--name", "relay.example"])
            #expect(guest.status == .exited(64) && guest.errorText.contains("--name"))
        }
    }

    @Test("A running conductor loads renewed certificates without meeting a mismatched pair")
    func runningConductor() async throws {
        try await RelayFixture.with { relay in
            let end = try await relay.withConductor(more: "") { conductor in
                let log = conductor.program.standardError
                for name in ["conductor", "ca"] {
                    let end = try await self.renew(relay, [name])
                    #expect(end.status == .exited(0), "\(end.errorText)")
                    try await log.line(containing: "Reloaded certificates for new connections")
                }
                // With the authority's renewed certificate, the guest's old certificate is as valid as its new one.
                for _ in 0..<2 {
                    let told = try await relay.exec(["true"], ports: [conductor.port])
                    #expect(told.status == .exited(0) && told.errorText.isEmpty, "\(told.errorText)")
                    _ = try await self.renew(relay, ["guest-guest-1"])
                }
                #expect(try conductor.notifications().count == 2)
            }
            #expect(!end.errorText.contains("Failed to load the certificate files"), "\(end.errorText)")
        }
    }

    @Test("A certificate that cannot be renewed is named and stays unchanged")
    func rejectedRenewals() async throws {
        try await RelayFixture.with { relay in
            func expect(_ words: [String], _ name: String = "guest-guest-1") async throws {
                let before = try? self.data(relay, "\(name).pem")
                let end = try await self.renew(relay, [name])
                #expect(end.status == .exited(64))
                for word in words { #expect(end.errorText.contains(word), "\(end.errorText)") }
                #expect(try before == nil || self.data(relay, "\(name).pem") == before)
            }
            try await expect(
                [relay.path("tls/guest-nobody.pem"), "conductor certificates guest nobody"], "guest-nobody")
            // A certificate of another authority.
            let other = try await Program.conductor.run(["certificates", "init", "--directory", relay.path("other")])
            try #require(other.status == .exited(0))
            for kind in ["pem", "key"] {
                try FileManager.default.copyItem(
                    atPath: relay.path("other/conductor.\(kind)"), toPath: relay.path("tls/foreign.\(kind)"))
            }
            try await expect([relay.path("tls/foreign.pem"), "not issued by this authority"], "foreign")
            // A missing key, and another certificate's key.
            let key = relay.path("tls/guest-guest-1.key")
            try FileManager.default.moveItem(atPath: key, toPath: relay.path("kept"))
            try await expect([key, "does not exist", "Move guest-guest-1.pem away"])
            try FileManager.default.copyItem(atPath: relay.path("tls/conductor.key"), toPath: key)
            try await expect([relay.path("tls/guest-guest-1.pem"), "does not belong"])
            try FileManager.default.removeItem(atPath: key)
            try FileManager.default.moveItem(atPath: relay.path("kept"), toPath: key)
            // A revoked certificate: a renewal would make its key valid again.
            let revoked = try await Program.conductor.run([
                "certificates", "revoke", "guest-guest-1", "--directory", relay.path("tls"),
            ])
            try #require(revoked.status == .exited(0), "\(revoked.errorText)")
            try await expect(["revoked"])
        }
    }

    @Test("Concurrent revocations are all recorded")
    func concurrentRevocations() async throws {
        try await RelayFixture.with { relay in
            let names = (0..<6).map { "at-once-\($0)" }
            for name in names {
                let end = try await Program.conductor.run([
                    "certificates", "guest", name, "--directory", relay.path("tls"),
                ])
                try #require(end.status == .exited(0), "\(end.errorText)")
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for name in names {
                    group.addTask {
                        let end = try await Program.conductor.run([
                            "certificates", "revoke", "guest-\(name)", "--directory", relay.path("tls"),
                        ])
                        #expect(end.status == .exited(0), "\(end.errorText)")
                    }
                }
                try await group.waitForAll()
            }
            let text = try await Program("openssl").run(["crl", "-noout", "-text", "-in", relay.path("tls/ca.crl")])
            #expect(text.standardOutput.filter { $0.contains("Serial Number:") }.count == names.count)
        }
    }
}
