import Foundation
import Subprocess
import Testing

@Suite("conductor certificates", .timeLimit(.minutes(2)))
struct CertificatesTests {
    @Test("Keys are for their owner only, and OpenSSL agrees with the certificates")
    func files() async throws {
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
            #expect(guest.standardOutput.joined().contains("URI:spiffe://conductor.test/instance/guest-1"))
        }
    }

    @Test("What exists already is never overwritten", arguments: [["init"], ["guest", "guest-1"]])
    func existing(_ arguments: [String]) async throws {
        try await RelayFixture.with { relay in
            func contents() throws -> [String: Data] {
                let names = try FileManager.default.contentsOfDirectory(atPath: relay.path("tls"))
                return try Dictionary(
                    uniqueKeysWithValues: names.map {
                        ($0, try Data(contentsOf: URL(filePath: relay.path("tls/\($0)"))))
                    })
            }
            let before = try contents()
            let end = try await Program.conductor.run(
                ["certificates"] + arguments + ["--directory", relay.path("tls")])
            #expect(end.status != .exited(0))
            #expect(end.errorText.contains("exists already"))
            #expect(try contents() == before)
        }
    }

    @Test("A guest's certificate needs an authority")
    func noAuthority() async throws {
        try await RelayFixture.with { relay in
            let end = try await Program.conductor.run(
                ["certificates", "guest", "a", "--directory", relay.path("nowhere")])
            #expect(end.status != .exited(0))
            #expect(end.errorText.contains("conductor certificates init"))
        }
    }
}
