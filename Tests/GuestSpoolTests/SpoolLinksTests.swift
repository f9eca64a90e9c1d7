// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import LogTesting
import SecureFiles
import Testing

@testable import GuestSpool

@Suite("Spool directory permissions and symbolic links")
struct SpoolLinksTests {
    private func refusal(_ fixture: SpoolFixture) async -> OutboxError? {
        await #expect(throws: OutboxError.self) { _ = try await fixture.open() }
    }

    @Test(
        "A link in place of a spool's file is rejected, and its target stays unchanged",
        arguments: ["agent.lock", "spool.sqlite", "spool.sqlite-wal", "spool.sqlite-shm", "spool.sqlite-journal"])
    func linkInsteadOfFile(name: String) async throws {
        try await SpoolFixture.with { fixture in
            let victim = "\(fixture.directory).victim"
            defer { try? FileManager.default.removeItem(atPath: victim) }
            try Data("precious".utf8).write(to: URL(filePath: victim))
            try #require(chmod(victim, 0o644) == 0)
            try FileManager.default.createDirectory(atPath: fixture.directory, withIntermediateDirectories: true)
            let link = "\(fixture.directory)/\(name)"
            try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: victim)
            let error = await self.refusal(fixture)
            #expect(
                error?.code == .notWritable && error?.description.contains(link) == true, "\(String(describing: error))"
            )
            let status = try #require(try FileStatus.of(victim))
            #expect(status.mode & 0o777 == 0o644)
            #expect(try String(contentsOfFile: victim, encoding: .utf8) == "precious")
            #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link) == victim)
        }
    }

    @Test("A repair replaces a link in place of a file that it creates, and does not follow it")
    func repairReplacesLinks() async throws {
        try await SpoolFixture.with { fixture in
            let victim = "\(fixture.directory).victim"
            defer { try? FileManager.default.removeItem(atPath: victim) }
            try Data("precious".utf8).write(to: URL(filePath: victim))
            _ = try await fixture.fill(1)
            try fixture.change("DELETE FROM tally")
            for name in ["spool.sqlite.new", "spool.sqlite.new.part", "spool.sqlite.mending.part"] {
                try FileManager.default.createSymbolicLink(
                    atPath: "\(fixture.directory)/\(name)", withDestinationPath: victim)
            }
            try await fixture.open().close()
            #expect(fixture.damages.count == 1)
            #expect(try String(contentsOfFile: victim, encoding: .utf8) == "precious")
        }
    }

    @Test(
        "Opening a spool removes the write permissions of group and others from its directory",
        arguments: [0o777, 0o775, 0o2770])
    func groupWritableDirectory(mode: mode_t) async throws {
        try await SpoolFixture.with { fixture in
            try FileManager.default.createDirectory(atPath: fixture.directory, withIntermediateDirectories: true)
            try #require(chmod(fixture.directory, mode) == 0)
            _ = try await fixture.fill(1)
            let status = try #require(try FileStatus.of(fixture.directory))
            #expect(status.mode & 0o7777 == mode & ~0o022)
        }
    }

    /// Returns the permissions of a directory and of everything in it.
    private func modes(_ directory: String) throws -> [String: mode_t] {
        var modes: [String: mode_t] = [:]
        for name in try FileManager.default.contentsOfDirectory(atPath: directory) + ["."] {
            modes[name] = try FileStatus.of("\(directory)/\(name)").map { $0.mode & 0o7777 }
        }
        return modes
    }

    @Test("A directory that others can write to is rejected unchanged if it holds a foreign file")
    func foreignFile() async throws {
        try await SpoolFixture.with { fixture in
            _ = try await fixture.fill(1)
            let notes = "\(fixture.directory)/notes"
            try Data("text".utf8).write(to: URL(filePath: notes))
            for name in ["notes", "spool.sqlite", "agent.lock"] {
                try #require(chmod("\(fixture.directory)/\(name)", 0o666) == 0)
            }
            try #require(chmod(fixture.directory, 0o777) == 0)
            let before = try self.modes(fixture.directory)
            let error = await self.refusal(fixture)
            #expect(error?.code == .notWritable)
            #expect(error?.description.contains("notes in it is not a file that this program creates") == true)
            #expect(try self.modes(fixture.directory) == before)
            try FileManager.default.removeItem(atPath: notes)
            try await fixture.open().close()
            #expect(try self.modes(fixture.directory) == [".": 0o755, "spool.sqlite": 0o600, "agent.lock": 0o600])
        }
    }

    @Test("Permissions are corrected only if a directory holds nothing but spool files and slots")
    func ownFiles() async throws {
        try await SpoolFixture.with { fixture in
            _ = try await fixture.fill(1)
            try fixture.change("DELETE FROM tally")
            let spool = try await fixture.open()
            #expect(fixture.damages.count == 1)
            for name in [
                "spool.sqlite-journal", "spool.sqlite.mending", "spool.sqlite.mending.part", "spool.sqlite.new",
                "spool.sqlite.new-wal", "spool.sqlite.new.part", "spool.sqlite.damaged-20260101T000000Z-02-shm",
                "spool.sqlite.damaged-20260101T000000Z.json.part",
            ] {
                _ = FileManager.default.createFile(atPath: "\(fixture.directory)/\(name)", contents: nil)
            }
            for name in ["exec-1", "exec-64", "lost+found"] {
                try FileManager.default.createDirectory(
                    atPath: "\(fixture.directory)/\(name)", withIntermediateDirectories: false)
            }
            try #require(chmod(fixture.directory, 0o770) == 0)
            _ = try SpoolDirectory(path: fixture.directory).openForWriting()
            #expect(try self.modes(fixture.directory)["."] == 0o750)
            try #require(chmod(fixture.directory, 0o770) == 0)
            for name in ["exec-0", "exec-65", "spool"] {
                let path = "\(fixture.directory)/\(name)"
                try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
                #expect(throws: OutboxError.self) {
                    _ = try SpoolDirectory(path: fixture.directory).openForWriting()
                }
                try FileManager.default.removeItem(atPath: path)
            }
            #expect(try self.modes(fixture.directory)["."] == 0o770)
            try await spool.close()
        }
    }

    @Test("A directory with the sticky bit is rejected, with the command that corrects it")
    func stickyDirectory() async throws {
        try await SpoolFixture.with { fixture in
            try FileManager.default.createDirectory(atPath: fixture.directory, withIntermediateDirectories: true)
            try #require(chmod(fixture.directory, 0o1777) == 0)
            let error = await self.refusal(fixture)
            #expect(error?.code == .notWritable && error?.description.contains("chmod go-w") == true)
            #expect(try FileManager.default.contentsOfDirectory(atPath: fixture.directory).isEmpty)
        }
    }

    @Test("Root cannot use another user's spool, and the error names the user to run as", .enabled(if: geteuid() == 0))
    func anotherUsersDirectory() async throws {
        try await SpoolFixture.with { fixture in
            _ = try await fixture.fill(2)
            let names = try FileManager.default.contentsOfDirectory(atPath: fixture.directory) + [""]
            for name in names { try #require(chown("\(fixture.directory)/\(name)", 65_534, 65_534) == 0) }
            let error = await self.refusal(fixture)
            #expect(error?.code == .notWritable && error?.description.contains("--reuid=65534") == true)
            // Inspecting it leaves no file of root's behind, and operators do so.
            let inspection = SpoolInspection(fixture.directory)
            #expect(try await inspection.overview().counts.waiting == 2)
            await #expect(throws: OutboxError.self) { try await SetAsideOutcomes(fixture.directory).retry([1]) }
            let slots = await #expect(throws: OutboxError.self) {
                _ = try await SpoolSlots(fixture.directory).openFirstFree(logger: fixture.log.logger)
            }
            #expect(slots?.description.contains("--reuid=65534") == true)
        }
    }
}
