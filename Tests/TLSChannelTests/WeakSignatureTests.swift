// SPDX-License-Identifier: Apache-2.0

import CConductorOpenSSL
import Foundation
import ProcessTesting
import Testing

@testable import CertificateIssuing
@testable import TLSChannel

/// SHA-1 and MD5, with which a certificate or a list can be forged.
@Suite("Weak signatures", .timeLimit(.minutes(1)))
struct WeakSignatureTests {
    enum Digest: String, CaseIterable, Sendable {
        case md5, sha1

        var pointer: OpaquePointer? { self == .md5 ? EVP_md5() : EVP_sha1() }
    }

    private let identities: TestIdentities

    init() throws {
        self.identities = try TestIdentities()
    }

    private var authority: CertificateAuthority { self.identities.authority }

    @Test("A peer's certificate that is signed with a weak digest is rejected", arguments: [Digest.sha1])
    func peers(_ digest: Digest) throws {
        let client = IssuedCertificate(
            certificatePEM: try self.authority.resigned(
                certificate: self.identities.client.certificatePEM, digest: digest.pointer),
            privateKeyPEM: self.identities.client.privateKeyPEM)
        let server = IssuedCertificate(
            certificatePEM: try self.authority.resigned(
                certificate: self.identities.server.certificatePEM, digest: digest.pointer),
            privateKeyPEM: self.identities.server.privateKeyPEM)
        let clientContext = try TLSContext(configuration: self.identities.clientConfiguration())
        let serverContext = try TLSContext(configuration: self.identities.serverConfiguration())
        let weakClient = try TLSContext(configuration: self.identities.clientConfiguration()).showing(client)
        let weakServer = try TLSContext(configuration: self.identities.serverConfiguration()).showing(server)
        let guest = try EnginePair(client: weakClient, server: serverContext)
        try guest.handshake()
        #expect(guest.serverError?.code == .verificationFailed)
        #expect(guest.serverError?.message.contains("SHA-256") == true, "\(guest.serverError.debugDescription)")
        let conductor = try EnginePair(client: clientContext, server: weakServer)
        try conductor.handshake()
        #expect(conductor.clientError?.code == .verificationFailed)
        #expect(conductor.clientError?.message.contains("SHA-256") == true, "\(conductor.clientError.debugDescription)")
        // An own certificate is rejected when it is loaded.
        let own = #expect(throws: TLSError.self) {
            try TLSContext(configuration: self.identities.clientConfiguration(identity: client))
        }
        #expect(own?.code == .invalidConfiguration && own?.message.contains("SHA-256") == true)
    }

    @Test("An intermediate authority that is signed with a weak digest is rejected")
    func between() throws {
        let root = try CertificateAuthority.root()
        var middle = try root.issueAuthority("middle")
        middle = try CertificateAuthority(
            certificatePEM: root.resigned(certificate: middle.certificatePEM, digest: EVP_sha1()),
            privateKeyPEM: middle.privateKeyPEM)
        let guest = try middle.issueClient(commonName: "guest", validity: .days(1))
        let chain = IssuedCertificate(
            certificatePEM: guest.certificatePEM + middle.certificatePEM, privateKeyPEM: guest.privateKeyPEM)
        let client = try TLSContext(configuration: self.identities.clientConfiguration()).showing(chain)
        let pair = try EnginePair(
            client: client, server: TLSContext(configuration: self.identities.serverConfiguration(trust: root)))
        try pair.handshake()
        #expect(pair.serverError?.message.contains("CN=middle") == true, "\(pair.serverError.debugDescription)")
    }

    private func refusal(_ list: String, of authority: CertificateAuthority) -> TLSError? {
        #expect(throws: TLSError.self) { try RevocationLists(.pem(list), of: authority) }
    }

    @Test("A revocation list that is signed with a weak digest is rejected", arguments: [Digest.sha1])
    func lists(_ digest: Digest) throws {
        let list = try self.authority.resigned(
            list: self.authority.revocationList(validity: .days(1)), digest: digest.pointer)
        let error = self.refusal(list, of: self.authority)
        #expect(error?.code == .revocationListRefused)
        #expect(error?.message.contains("SHA1") == true && error?.message.contains("SHA-256") == true)
        // Also a list of another authority.
        let other = try CertificateAuthority.create(commonName: "other", validity: .days(1))
        let good = try self.authority.revocationList(validity: .days(1))
        let unknown = try other.resigned(
            list: other.revocationList(validity: .days(1)), digest: digest.pointer)
        #expect(self.refusal(good + unknown, of: self.authority)?.message.contains("too weak") == true)
    }

    /// RSA-PSS names its digest elsewhere, and Ed25519 has none.
    @Test(
        "A weak digest is found in each kind of signature",
        arguments: [
            ("rsa:2048", ["-md", "md5"], false), ("rsa:2048", ["-md", "sha1"], false),
            ("rsa:2048", ["-md", "sha256"], true),
            ("rsa:2048", ["-md", "sha1", "-sigopt", "rsa_padding_mode:pss"], false),
            ("rsa:2048", ["-md", "sha256", "-sigopt", "rsa_padding_mode:pss"], true),
            ("rsa:2048", ["-md", "sha512", "-sigopt", "rsa_padding_mode:pss"], true),
            ("ed25519", ["-md", "null"], true),
        ])
    func kinds(_ key: String, _ options: [String], _ isStrong: Bool) async throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "weak-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let (certificate, privateKey) = (directory.appending(path: "ca.pem"), directory.appending(path: "ca.key"))
        _ = try await TestProcess(
            "openssl",
            [
                "req", "-x509", "-newkey", key, "-nodes", "-days", "2", "-subj", "/CN=weak", "-addext",
                "keyUsage=critical,keyCertSign,cRLSign", "-keyout", privateKey.path, "-out", certificate.path,
            ]
        ).outputUntilExit()
        let authority = try CertificateAuthority(
            certificatePEM: String(contentsOf: certificate, encoding: .utf8),
            privateKeyPEM: String(contentsOf: privateKey, encoding: .utf8))
        let list = try await OpenSSLList.make(authority: authority, options: options)
        if isStrong {
            #expect(try RevocationLists(.pem(list), of: authority).lists.count == 1)
        } else {
            #expect(self.refusal(list, of: authority)?.message.contains("too weak") == true, "\(list)")
        }
    }
}
