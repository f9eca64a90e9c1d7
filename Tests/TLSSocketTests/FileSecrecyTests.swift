import Foundation
import Glibc
import Testing

@testable import TLSSocket

/// Who may read the file of a private key.
@Suite(.timeLimit(.minutes(1)))
struct FileSecrecyTests {
    @Test(
        arguments: [
            (0o400, 1000), (0o600, 1000), (0o700, 1000), (0o600, 0), (0o640, 0), (0o440, 0),
        ] as [(mode_t, uid_t)])
    func isSecret(mode: mode_t, owner: uid_t) {
        #expect(FileSecrecy.problem(owner: owner, mode: mode, path: "/k", user: 1000) == nil)
    }

    @Test(
        arguments: [
            (0o604, 1000, "every user", "0600"), (0o644, 0, "every user", "0640"), (0o602, 0, "every user", "0640"),
            (0o601, 0, "every user", "0640"), (0o640, 1000, "group", "0600"), (0o620, 0, "group", "0640"),
            (0o660, 0, "group", "0640"), (0o610, 0, "group", "0640"),
        ] as [(mode_t, uid_t, String, String)])
    func isExposed(mode: mode_t, owner: uid_t, whom: String, remedy: String) throws {
        let problem = try #require(FileSecrecy.problem(owner: owner, mode: mode, path: "/etc/a b's.key", user: 1000))
        #expect(problem.what.contains(whom))
        #expect(problem.remedy == "chmod \(remedy) '/etc/a b'\\''s.key'")
    }

    @Test(arguments: [(1001, 1000, "1000"), (65_534, 0, "root"), (1000, 0, "root")] as [(uid_t, uid_t, String)])
    func isSomebodyElses(owner: uid_t, user: uid_t, heir: String) throws {
        let problem = try #require(FileSecrecy.problem(owner: owner, mode: 0o600, path: "/k", user: user))
        #expect(problem.what.contains("user \(owner)") && problem.remedy == "chown \(heir) /k")
        #expect(FileSecrecy.problem(owner: user, mode: 0o600, path: "/k", user: user) == nil)
        #expect(FileSecrecy.problem(owner: 0, mode: 0o640, path: "/k", user: user) == nil)
    }

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
