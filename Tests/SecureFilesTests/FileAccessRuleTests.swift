// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing

@testable import SecureFiles

@Suite("File access rules")
struct FileAccessRuleTests {
    @Test(
        "A secret file may be its owner's alone, or root's and readable by its group",
        arguments: [
            (0o400, 1000), (0o600, 1000), (0o700, 1000), (0o600, 0), (0o640, 0), (0o440, 0),
        ] as [(mode_t, uid_t)])
    func isSecret(mode: mode_t, owner: uid_t) {
        #expect(FileAccessRule.secret.violation(owner: owner, mode: mode, path: "/k", user: 1000) == nil)
    }

    @Test(
        "A secret that others may access is exposed",
        arguments: [
            (0o604, 1000, "every user", "0600"), (0o644, 0, "every user", "0640"), (0o602, 0, "every user", "0640"),
            (0o601, 0, "every user", "0640"), (0o640, 1000, "group", "0600"), (0o620, 0, "group", "0640"),
            (0o660, 0, "group", "0640"), (0o610, 0, "group", "0640"),
        ] as [(mode_t, uid_t, String, String)])
    func isExposed(mode: mode_t, owner: uid_t, whom: String, remedy: String) throws {
        let found = FileAccessRule.secret.violation(owner: owner, mode: mode, path: "/etc/a b's.key", user: 1000)
        let violation = try #require(found)
        #expect(violation.what.contains(whom))
        #expect(violation.remedy == "chmod \(remedy) '/etc/a b'\\''s.key'")
    }

    @Test(
        "A file of another user breaks either rule",
        arguments: [(1001, 1000, "1000"), (65_534, 0, "root"), (1000, 0, "root")] as [(uid_t, uid_t, String)])
    func otherOwner(owner: uid_t, user: uid_t, heir: String) throws {
        for rule in [FileAccessRule.secret, .trusted] {
            let violation = try #require(rule.violation(owner: owner, mode: 0o600, path: "/k", user: user))
            #expect(violation.what.contains("user \(owner)") && violation.remedy == "chown \(heir) /k")
            #expect(rule.violation(owner: user, mode: 0o600, path: "/k", user: user) == nil)
            #expect(rule.violation(owner: 0, mode: 0o640, path: "/k", user: user) == nil)
        }
    }

    @Test("A trusted file may be readable by everyone, and writable only by its owner")
    func isTrusted() {
        for mode in [0o644, 0o444, 0o755] as [mode_t] {
            #expect(FileAccessRule.trusted.violation(owner: 1000, mode: mode, path: "/k", user: 1000) == nil)
        }
        for mode in [0o664, 0o646, 0o622] as [mode_t] {
            let violation = FileAccessRule.trusted.violation(owner: 1000, mode: mode, path: "/k", user: 1000)
            #expect(violation?.remedy == "chmod go-w /k")
        }
    }

    @Test("A file is read as a whole, if it is within the size limit and obeys the access rule")
    func contents() throws {
        try TestDirectory.with { directory in
            try directory.write("secret", to: "key")
            let read = try FileContents(directory.path("key"), limit: 6, rule: .secret)
            #expect(read.bytes == Array("secret".utf8))
            #expect(throws: FileError.self) { try FileContents(directory.path("key"), limit: 5) }
            #expect(try FileContents("/proc/self/status", limit: 1 << 16).bytes.count > 100)
            try directory.setMode(0o644, "key")
            let error = #expect(throws: FileError.self) {
                try FileContents(directory.path("key"), limit: 6, rule: .secret)
            }
            #expect(error?.kind == .exposed && error?.clause.contains("chmod 06") == true)
            #expect(try FileContents(directory.path("key"), limit: 6, rule: .trusted).bytes.count == 6)
        }
    }

    @Test("A pipe, a device and a directory are rejected, without waiting for a pipe's writer", .timeLimit(.minutes(1)))
    func specialFiles() throws {
        try TestDirectory.with { directory in
            try #require(mkfifo(directory.path("pipe"), 0o600) == 0)
            for path in [directory.path("pipe"), "/dev/null", directory.path] {
                let error = #expect(throws: FileError.self) { try FileContents(path, limit: 10) }
                #expect(error?.kind == .wrongKind, "\(path)")
            }
        }
    }

    @Test("A missing file is distinguished from one that may not be inspected")
    func absentOrForbidden() throws {
        try TestDirectory.with { directory in
            try directory.make("closed")
            try directory.write("text", to: "closed/file")
            #expect(try FileStatus.of(directory.path("none")) == nil)
            #expect(try FileStatus.of(directory.path("closed/file/below")) == nil)
            #expect(try FileStatus.of(directory.path("closed/file"))?.size == 4)
            // No user, not even the superuser, can follow a loop of links.
            try directory.link("loop", to: "loop")
            #expect(throws: FileError.self) { try FileStatus.of(directory.path("loop")) }
            guard !isSuperuser else { return }
            try directory.setMode(0, "closed")
            defer { try? directory.setMode(0o700, "closed") }
            let error = #expect(throws: FileError.self) { try FileStatus.of(directory.path("closed/file")) }
            #expect(error?.kind == .forbidden)
        }
    }
}
