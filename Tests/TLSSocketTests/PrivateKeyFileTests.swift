import Foundation
import Glibc
import Testing

@testable import TLSSocket

/// Who may read the file of a private key.
@Suite(.timeLimit(.minutes(1)))
struct PrivateKeyFileTests {
    private func context(_ files: IdentityFiles) throws -> TLSContext {
        try TLSContext(
            configuration: TLSConfiguration(
                role: .server, certificateChain: .file(files.path("server.pem")),
                privateKey: .file(files.path("server.key")), trustRoots: .file(files.path("ca.pem"))))
    }

    @Test func aKeyOfAnotherUsersIsRefused() throws {
        // Only the superuser can give a file away.
        guard geteuid() == 0 else { return }
        let files = try IdentityFiles(TestIdentities())
        try #require(chown(files.path("server.key"), 65_534, 65_534) == 0)
        let error = #expect(throws: TLSError.self) { try self.context(files) }
        #expect(error?.code == .keyExposed && error?.message.contains("chown root ") == true)
        // Of what is no secret the owner does not matter.
        try #require(chown(files.path("server.key"), 0, 0) == 0 && chown(files.path("server.pem"), 65_534, 65_534) == 0)
        _ = try self.context(files)
    }

    @Test func aKeyThatOthersMayReadIsRefusedAndNothingElseIs() throws {
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
        #expect(error?.code == .keyExposed)
        let message = error?.message ?? ""
        #expect(message.contains("private key (file \(files.path("server.key")))") && message.contains("mode 0644"))
        #expect(message.contains("`chmod 06") && message.contains(files.path("server.key") + "`"))
    }
}
