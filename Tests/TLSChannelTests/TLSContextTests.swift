// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import CertificateIssuing
@testable import TLSChannel

@Suite(.timeLimit(.minutes(1)))
struct TLSContextTests {
    let identities: TestIdentities

    init() throws {
        self.identities = try TestIdentities()
    }

    private func code(
        _ change: (inout TLSConfiguration) -> Void
    ) throws -> (code: TLSError.Code?, message: String) {
        var configuration = self.identities.serverConfiguration()
        change(&configuration)
        let error = #expect(throws: TLSError.self) { try TLSContext(configuration: configuration) }
        return (error?.code, error?.message ?? "")
    }

    @Test("A context knows when its own certificate expires")
    func certificateExpiry() throws {
        let context = try TLSContext(configuration: self.identities.serverConfiguration())
        let left = context.certificateNotAfter - Int64(Date().timeIntervalSince1970)
        #expect((86_000...86_400).contains(left))
        let old = try self.identities.authority.issueServer(
            commonName: "old", dnsNames: ["localhost"], validity: TestIdentities.yesterday)
        let expired = try TLSContext(configuration: self.identities.serverConfiguration(identity: old))
        #expect(expired.certificateNotAfter == TestIdentities.yesterday.notAfter)
    }

    @Test("A context reads its certificates and its key from files")
    func readsFiles() throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        func write(_ name: String, _ text: String) throws -> TLSSource {
            let url = directory.appendingPathComponent(name)
            try Data(text.utf8).write(to: url)
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: url.path)
            return .file(url.path)
        }
        let configuration = TLSConfiguration(
            role: .server,
            certificateChain: try write("chain.pem", "comment\n" + self.identities.server.certificatePEM),
            privateKey: try write("key.pem", self.identities.server.privateKeyPEM),
            trustRoots: try write("roots.pem", self.identities.authority.certificatePEM), applicationProtocols: [])
        _ = try TLSContext(configuration: configuration)
    }

    @Test("The error for a missing file names the file")
    func missingFile() throws {
        let result = try self.code { $0.trustRoots = .file("/nonexistent/roots.pem") }
        #expect(result.code == .fileNotFound)
        #expect(result.message.contains("trust roots (file /nonexistent/roots.pem)"))
    }

    @Test("The error for an unreadable file names the file")
    func unreadableFile() throws {
        let result = try self.code { $0.privateKey = .file("/") }
        #expect(result.code == .fileUnreadable)
        #expect(result.message.contains("private key (file /)"))
    }

    @Test("Text that is not the expected PEM is rejected")
    func malformedPEM() throws {
        #expect(try self.code { $0.certificateChain = .pem("") }.code == .malformedPEM)
        #expect(try self.code { $0.trustRoots = .pem("nonsense") }.code == .malformedPEM)
        #expect(try self.code { $0.privateKey = $0.certificateChain }.code == .malformedPEM)
        let damaged = self.identities.server.certificatePEM + "-----BEGIN CERTIFICATE-----\nAAAA\n"
        let result = try self.code { $0.certificateChain = .pem(damaged) }
        #expect(result.code == .malformedPEM)
        #expect(result.message.contains("number 2"))
    }

    @Test("The key of another certificate is rejected, and is not in the error")
    func keyMismatch() throws {
        let result = try self.code { $0.privateKey = .pem(self.identities.client.privateKeyPEM) }
        #expect(result.code == .keyMismatch)
        #expect(!result.message.contains("PRIVATE"))
    }

    @Test(
        "Protocol names that are empty or too long are rejected",
        arguments: [[""], [String(repeating: "x", count: 256)]])
    func invalidProtocolNames(names: [String]) throws {
        #expect(try self.code { $0.applicationProtocols = names }.code == .invalidConfiguration)
    }

    @Test("Private keys do not appear in printed values")
    func hiddenKeys() throws {
        var text = "\(self.identities.client) \(self.identities.authority) \(self.identities.serverConfiguration())"
        text += String(reflecting: self.identities.serverConfiguration())
        dump(self.identities.client, to: &text)
        dump(self.identities.authority, to: &text)
        dump(self.identities.serverConfiguration(), to: &text)
        #expect(!text.contains("PRIVATE"))
    }
}
