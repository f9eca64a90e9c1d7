// SPDX-License-Identifier: Apache-2.0

import Foundation
import Subprocess
import Testing

@Suite("conductor certificates", .timeLimit(.minutes(2)))
struct CertificatesTests {
    @Test("Private keys are readable by their owner only, and OpenSSL verifies the certificates")
    func filesAndModes() async throws {
        try await RelayFixture.with { relay in
            for (name, mode) in [
                ("ca.key", 0o600), ("ca.pem", 0o644), ("conductor.key", 0o600), ("conductor.pem", 0o644),
                ("guest-guest-1.key", 0o600), ("guest-guest-1.pem", 0o644),
            ] {
                let attributes = try FileManager.default.attributesOfItem(atPath: relay.path("tls/\(name)"))
                #expect((attributes[.posixPermissions] as? Int) == mode, "\(name)")
            }
            for (name, purpose) in [("conductor", "sslserver"), ("guest-guest-1", "sslclient")] {
                let end = try await Program("openssl").run([
                    "verify", "-CAfile", relay.path("tls/ca.pem"), "-purpose", purpose, relay.path("tls/\(name).pem"),
                ])
                #expect(end.status == .exited(0), "\(end.errorText)")
            }
            let guest = try await Program("openssl").run([
                "x509", "-noout", "-ext", "subjectAltName", "-in", relay.path("tls/guest-guest-1.pem"),
            ])
            #expect(
                guest.standardOutput.joined().contains("URI:spiffe://conductor.test/tenant/tenant-1/instance/guest-1"))
        }
    }

    @Test("Existing files are never overwritten", arguments: [["init"], ["guest", "guest-1"]])
    func existingFiles(_ arguments: [String]) async throws {
        try await RelayFixture.with { relay in
            let before = try self.contents(relay)
            let end = try await Program.conductor.run(
                ["certificates"] + arguments + ["--directory", relay.path("tls")])
            #expect(end.status == .exited(64))
            #expect(end.errorText.contains("exists already"))
            #expect(try self.contents(relay) == before)
        }
    }

    private func contents(_ relay: RelayFixture, _ directory: String = "tls") throws -> [String: Data] {
        let names = try FileManager.default.contentsOfDirectory(atPath: relay.path(directory))
        return try Dictionary(
            uniqueKeysWithValues: names.map {
                ($0, try Data(contentsOf: URL(filePath: relay.path("\(directory)/\($0)"))))
            })
    }

    @Test("If half of a pair exists, no file is created and the message names the file and the remedy")
    func incompletePair() async throws {
        try await RelayFixture.with { relay in
            for (left, lost) in [("pem", "key"), ("key", "pem")] {
                let lostFile = URL(filePath: relay.path("tls/guest-guest-1.\(lost)"))
                let text = try Data(contentsOf: lostFile)
                try FileManager.default.removeItem(at: lostFile)
                let before = try self.contents(relay)
                let end = try await Program.conductor.run([
                    "certificates", "guest", "guest-1", "--directory", relay.path("tls"),
                ])
                #expect(end.status == .exited(64))
                let message = end.errorText
                #expect(message.contains("\(relay.path("tls/guest-guest-1.\(left)")) exists already"), "\(message)")
                #expect(
                    message.contains("no file was created") && message.contains("renew guest-guest-1"), "\(message)")
                #expect(try self.contents(relay) == before)
                try text.write(to: lostFile)
            }
        }
    }

    @Test(
        "init creates all of its files, or none if one of them exists",
        arguments: ["ca.key", "ca.pem", "ca.crl", "conductor.key", "conductor.pem"])
    func initIsAtomic(_ name: String) async throws {
        try await RelayFixture.with { relay in
            try FileManager.default.createDirectory(atPath: relay.path("other"), withIntermediateDirectories: false)
            _ = try relay.write("mine", to: "other/\(name)")
            let end = try await Program.conductor.run(["certificates", "init", "--directory", relay.path("other")])
            #expect(end.status == .exited(64))
            #expect(end.errorText.contains("\(relay.path("other/\(name)")) exists already"), "\(end.errorText)")
            #expect(try self.contents(relay, "other") == [name: Data("mine".utf8)])
            // With a name that no certificate can hold, not even the directory is created.
            let bad = try await Program.conductor.run([
                "certificates", "init", "--directory", relay.path("third"), "--name", "a b",
            ])
            #expect(bad.status != .exited(0) && !FileManager.default.fileExists(atPath: relay.path("third")))
        }
    }

    @Test("A symbolic link in the place of a file is not followed", arguments: ["guest-g.key", "guest-g.pem"])
    func symbolicLink(_ name: String) async throws {
        try await RelayFixture.with { relay in
            try FileManager.default.createSymbolicLink(
                atPath: relay.path("tls/\(name)"), withDestinationPath: relay.path("victim"))
            let end = try await Program.conductor.run([
                "certificates", "guest", "g", "--directory", relay.path("tls"),
            ])
            #expect(end.status == .exited(64) && end.errorText.contains("exists already"), "\(end.errorText)")
            #expect(!FileManager.default.fileExists(atPath: relay.path("victim")))
            let made = try FileManager.default.contentsOfDirectory(atPath: relay.path("tls")).filter {
                $0.hasPrefix("guest-g.")
            }
            #expect(made == [name])
        }
    }

    @Test("Other users can read no private key at any moment, even with umask 0")
    func keyExposure() async throws {
        try await RelayFixture.with { relay in
            for round in 0..<6 {
                let directory = relay.path("open-\(round)")
                try FileManager.default.createDirectory(
                    atPath: directory, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o755])
                let watch = KeyFileWatcher(directory)
                let end = try await Program("sh").run([
                    "-c", "umask 0 && exec \"$0\" certificates init --directory \"$1\"", Program.conductor.path,
                    directory,
                ])
                #expect(end.status == .exited(0), "\(end.errorText)")
                let exposed = await watch.stop()
                #expect(exposed.isEmpty, "round \(round)")
                for (name, mode) in [("ca.key", 0o600), ("ca.pem", 0o644), ("ca.crl", 0o644), ("conductor.key", 0o600)]
                {
                    let attributes = try FileManager.default.attributesOfItem(atPath: "\(directory)/\(name)")
                    #expect((attributes[.posixPermissions] as? Int) == mode, "\(name)")
                }
            }
        }
    }

    @Test("A guest's certificate needs an authority")
    func missingAuthority() async throws {
        try await RelayFixture.with { relay in
            let end = try await Program.conductor.run(
                ["certificates", "guest", "a", "--directory", relay.path("nowhere")])
            #expect(end.status != .exited(0))
            #expect(end.errorText.contains("conductor certificates init"))
        }
    }
}
