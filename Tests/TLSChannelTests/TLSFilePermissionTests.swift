// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Testing

@testable import CertificateIssuing
@testable import TLSChannel

/// The users that may read the file of a private key, and those that may change the files of certificates.
@Suite(.timeLimit(.minutes(1)))
struct TLSFilePermissionTests {
    private func context(_ files: IdentityFiles) throws -> TLSContext {
        try TLSContext(
            configuration: TLSConfiguration(
                role: .server, certificateChain: .file(files.path("server.pem")),
                privateKey: .file(files.path("server.key")), trustRoots: .file(files.path("ca.pem")),
                applicationProtocols: []))
    }

    /// Only the superuser can give a file away.
    @Test(
        "A key or certificate file that belongs to another user is rejected", .enabled(if: geteuid() == 0),
        arguments: ["server.key", "server.pem", "ca.pem"])
    func owner(name: String) throws {
        let files = try IdentityFiles(TestIdentities())
        try #require(chown(files.path(name), 65_534, 65_534) == 0)
        let error = #expect(throws: TLSError.self) { try self.context(files) }
        #expect(error?.code == .fileExposed && error?.message.contains("chown root ") == true)
    }

    @Test("A certificate file that another user may change is rejected", arguments: ["server.pem", "ca.pem"])
    func writableCertificates(name: String) throws {
        let files = try IdentityFiles(TestIdentities())
        for mode in [0o664, 0o646] {
            try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: files.path(name))
            let error = #expect(throws: TLSError.self) { try self.context(files) }
            #expect(error?.code == .fileExposed && error?.message.contains("`chmod go-w \(files.path(name))`") == true)
        }
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: files.path(name))
        _ = try self.context(files)
    }

    /// Lists are signed: a wrong mode must not keep a new list, and with it new revocations, from being read.
    @Test("A revocation list that other users may change is read")
    func writableList() throws {
        let identities = try TestIdentities()
        let files = try IdentityFiles(identities)
        let configuration = try self.configuration(files, list: identities.authority)
        let path = files.path("ca.crl")
        for mode in [0o664, 0o646, 0o666] {
            try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
            _ = try TLSContext(configuration: configuration)
        }
    }

    @Test("A revocation list of another user is read", .enabled(if: geteuid() == 0))
    func listOwner() throws {
        let identities = try TestIdentities()
        let files = try IdentityFiles(identities)
        let configuration = try self.configuration(files, list: identities.authority)
        try #require(chown(files.path("ca.crl"), 65_534, 65_534) == 0)
        _ = try TLSContext(configuration: configuration)
    }

    /// Writes an empty revocation list, and returns a configuration with it.
    private func configuration(_ files: IdentityFiles, list authority: CertificateAuthority) throws -> TLSConfiguration
    {
        let path = files.path("ca.crl")
        try Data(authority.revocationList(validity: .days(1)).utf8).write(to: URL(fileURLWithPath: path))
        var configuration = TLSConfiguration(
            role: .server, certificateChain: .file(files.path("server.pem")),
            privateKey: .file(files.path("server.key")), trustRoots: .file(files.path("ca.pem")),
            applicationProtocols: [])
        configuration.revocationLists = .file(path)
        return configuration
    }

    @Test("A private key that others may read is rejected, and readable certificates are accepted")
    func readableKey() throws {
        let files = try IdentityFiles(TestIdentities())
        func context() throws -> TLSContext { try self.context(files) }
        func open(_ name: String, _ mode: Int) throws {
            try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: files.path(name))
        }
        try open("server.pem", 0o644)
        try open("ca.pem", 0o644)
        _ = try context()
        try open("server.key", 0o644)
        let error = #expect(throws: TLSError.self) { try context() }
        #expect(error?.code == .fileExposed)
        let message = error?.message ?? ""
        #expect(message.contains("private key (file \(files.path("server.key")))") && message.contains("mode 0644"))
        #expect(message.contains("`chmod 06") && message.contains(files.path("server.key") + "`"))
    }
}
