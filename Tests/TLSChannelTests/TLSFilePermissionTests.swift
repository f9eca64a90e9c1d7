// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Testing

@testable import TLSChannel

/// The users that may read the file of a private key, and those that may change the files of certificates.
@Suite(.timeLimit(.minutes(1)))
struct TLSFilePermissionTests {
    private func context(_ files: IdentityFiles) throws -> TLSContext {
        try TLSContext(
            configuration: TLSConfiguration(
                role: .server, certificateChain: .file(files.path("server.pem")),
                privateKey: .file(files.path("server.key")), trustRoots: .file(files.path("ca.pem"))))
    }

    @Test("A private key file that belongs to another user is rejected")
    func keyOwner() throws {
        // Only the superuser can give a file away.
        guard geteuid() == 0 else { return }
        let files = try IdentityFiles(TestIdentities())
        try #require(chown(files.path("server.key"), 65_534, 65_534) == 0)
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
        // Only the superuser can give a file away.
        guard geteuid() == 0 else { return }
        try #require(chown(files.path(name), 65_534, 65_534) == 0)
        let error = #expect(throws: TLSError.self) { try self.context(files) }
        #expect(error?.code == .fileExposed && error?.message.contains("chown root ") == true)
    }

    /// Lists are signed: a wrong mode must not keep a new list, and with it new revocations, from being read.
    @Test("A revocation list that other users may change is read")
    func writableList() throws {
        let identities = try TestIdentities()
        let files = try IdentityFiles(identities)
        let path = files.path("ca.crl")
        try Data(identities.authority.revocationList(validity: .days(1)).utf8).write(to: URL(fileURLWithPath: path))
        var configuration = TLSConfiguration(
            role: .server, certificateChain: .file(files.path("server.pem")),
            privateKey: .file(files.path("server.key")), trustRoots: .file(files.path("ca.pem")))
        configuration.revocationLists = .file(path)
        for mode in [0o664, 0o646, 0o666] {
            try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
            _ = try TLSContext(configuration: configuration)
        }
        // Only the superuser can give a file away.
        guard geteuid() == 0 else { return }
        try #require(chown(path, 65_534, 65_534) == 0)
        _ = try TLSContext(configuration: configuration)
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
