import Foundation
import Glibc
import LogTesting
import SecureFiles
import Testing

@testable import GuestSpool

@Suite("A spool's directory is its user's alone, and no link in it leads anywhere")
struct SpoolLinksTests {
    private func refusal(_ fixture: SpoolFixture) async -> OutboxError? {
        await #expect(throws: OutboxError.self) { _ = try await fixture.open() }
    }

    @Test(
        "A link in the place of a spool's file is refused, and what it leads to stays as it was",
        arguments: ["agent.lock", "spool.sqlite", "spool.sqlite-wal", "spool.sqlite-shm", "spool.sqlite-journal"])
    func link(name: String) async throws {
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

    @Test("A link in the place of the file that is made of a damaged one is replaced, and not followed")
    func mendingThroughLinks() async throws {
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

    @Test("A directory of one's own that others can write in is closed to them", arguments: [0o777, 0o775, 0o2770])
    func openDirectory(mode: mode_t) async throws {
        try await SpoolFixture.with { fixture in
            try FileManager.default.createDirectory(atPath: fixture.directory, withIntermediateDirectories: true)
            try #require(chmod(fixture.directory, mode) == 0)
            _ = try await fixture.fill(1)
            let status = try #require(try FileStatus.of(fixture.directory))
            #expect(status.mode & 0o7777 == mode & ~0o022)
        }
    }

    @Test("A directory that is meant for everybody is refused, with the command that makes it right")
    func stickyDirectory() async throws {
        try await SpoolFixture.with { fixture in
            try FileManager.default.createDirectory(atPath: fixture.directory, withIntermediateDirectories: true)
            try #require(chmod(fixture.directory, 0o1777) == 0)
            let error = await self.refusal(fixture)
            #expect(error?.code == .notWritable && error?.description.contains("chmod go-w") == true)
            #expect(try FileManager.default.contentsOfDirectory(atPath: fixture.directory).isEmpty)
        }
    }

    @Test("Root does not use another user's directory, and is told as whom to run", .enabled(if: geteuid() == 0))
    func anotherUsersDirectory() async throws {
        try await SpoolFixture.with { fixture in
            _ = try await fixture.fill(2)
            let names = try FileManager.default.contentsOfDirectory(atPath: fixture.directory) + [""]
            for name in names { try #require(chown("\(fixture.directory)/\(name)", 65_534, 65_534) == 0) }
            let error = await self.refusal(fixture)
            #expect(error?.code == .notWritable && error?.description.contains("--reuid=65534") == true)
            // To look into it changes nothing of root's, and an operator does.
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
