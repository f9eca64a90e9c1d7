// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import LogTesting
import Testing

@testable import GuestSpool

@Suite struct SpoolDirectoryTests {
    private func permissions(_ path: String) -> mode_t? {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        return status.st_mode & 0o777
    }

    /// All tests of a process share its umask, so a test of the program checks this with another umask.
    @Test("Only the owner may read a spool's directory and files")
    func ownerOnlyPermissions() async throws {
        try await SpoolFixture.with { fixture in
            let spool = try await fixture.open()
            try await fixture.run(spool)
            #expect(self.permissions(fixture.directory) == 0o700)
            for name in ["agent.lock", "spool.sqlite", "spool.sqlite-wal", "spool.sqlite-shm"] {
                #expect(self.permissions("\(fixture.directory)/\(name)") == 0o600, "\(name)")
            }
            try await spool.close()
            #expect(chmod(fixture.file, 0o644) == 0)
            try fixture.change("DELETE FROM tally")
            let repaired = try await fixture.open()
            for name in try FileManager.default.contentsOfDirectory(atPath: fixture.directory) {
                let permissions = try #require(self.permissions("\(fixture.directory)/\(name)"))
                #expect(permissions & 0o077 == 0 || name.contains("damaged"), "\(name)")
            }
            #expect(self.permissions(fixture.file) == 0o600)
            try await repaired.close()
        }
    }

    @Test(
        "A file or directory of the wrong type is rejected, and the error names its path",
        arguments: ["", "agent.lock", "spool.sqlite"])
    func wrongFileType(_ name: String) async throws {
        try await SpoolFixture.with { fixture in
            let path = name.isEmpty ? fixture.directory : "\(fixture.directory)/\(name)"
            if name.isEmpty {
                try Data("x".utf8).write(to: URL(filePath: path))
            } else {
                try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            }
            let error = await #expect(throws: OutboxError.self) { _ = try await fixture.open() }
            #expect(error?.code == .notWritable)
            #expect(error?.description.contains(path) == true)
            #expect(fixture.damages.isEmpty)
        }
    }

    @Test("A spool whose parent directory is missing is rejected")
    func missingParent() async throws {
        try await SpoolFixture.with { fixture in
            let path = "\(fixture.directory)/a/b"
            let error = await #expect(throws: OutboxError.self) {
                _ = try await Spool.open(path, logger: fixture.log.logger)
            }
            #expect(error?.code == .notWritable)
            #expect(error?.description.contains("parent is missing") == true)
        }
    }
}
