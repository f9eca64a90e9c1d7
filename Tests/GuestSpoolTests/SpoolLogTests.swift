// SPDX-License-Identifier: Apache-2.0

import Foundation
import GRDB
import Notifications
import Testing

@testable import GuestSpool

/// Tests of the write-ahead log (WAL), which the writer checkpoints itself.
@Suite(.timeLimit(.minutes(2))) struct SpoolLogTests {
    @Test("The WAL stays short, however much is written")
    func shortWAL() async throws {
        try await SpoolFixture.with { fixture in
            let spool = try await fixture.open()
            let text = String(repeating: "x", count: 100_000)
            var longest = 0
            for _ in 0..<300 {
                try await fixture.run(spool, text)
                longest = max(longest, SpoolDirectory.size("\(fixture.file)-wal") ?? 0)
            }
            // A step, the pages of one transaction, and the writes that came during the checkpoint.
            #expect(
                (SpoolFile.checkpointThreshold...SpoolFile.checkpointThreshold + (1 << 20)).contains(longest),
                "\(longest)")
            #expect(SpoolDirectory.size(fixture.file) ?? 0 > 20 << 20)
            try await spool.close()
        }
    }

    /// Opens a connection that reads the WAL from now on, and keeps doing so.
    private func reader(_ fixture: SpoolFixture) async throws -> DatabaseQueue {
        var settings = GRDB.Configuration()
        settings.allowsUnsafeTransactions = true
        let reader = try DatabaseQueue(path: fixture.file, configuration: settings)
        try await reader.writeWithoutTransaction { db in
            try db.execute(sql: "PRAGMA wal_autocheckpoint = 0; UPDATE tally SET refused = 7; BEGIN")
            _ = try Row.fetchAll(db, sql: "SELECT * FROM tally")
        }
        return reader
    }

    @Test("A process that keeps reading a killed agent's WAL does not block new operations")
    func persistentReader() async throws {
        try await SpoolFixture.with { fixture in
            let first = try await fixture.open()
            let interrupted = try await fixture.begin(first)
            try await first.close()
            let reader = try await self.reader(fixture)
            try #require(SpoolDirectory.size("\(fixture.file)-wal") ?? 0 > 0)
            let spool = try await fixture.open()
            #expect(!spool.store.takeover.isLogSuspect)
            let id = try await fixture.run(spool).messageID
            #expect(try await fixture.messageIDs(spool) == [interrupted, id])
            try reader.close()
            try await spool.close()
            let again = try await fixture.open()
            #expect(try await fixture.messageIDs(again) == [interrupted, id])
            #expect(try await again.counts().refused == 7)
            try await again.close()
        }
    }

    @Test("A WAL marked after a failed fsync is suspect for the next agent until it is checkpointed")
    func markedWAL() async throws {
        try await SpoolFixture.with { fixture in
            let first = try await fixture.open()
            first.writer.markLogSuspect()
            let directory = SpoolDirectory(path: fixture.directory)
            let text = try String(contentsOfFile: directory.lockFile, encoding: .utf8)
            #expect(text == "\(getpid())\ndoubt\n")
            try await first.close()
            let reader = try await self.reader(fixture)
            let second = try await fixture.open()
            #expect(second.store.takeover.isLogSuspect)
            #expect(try String(contentsOfFile: directory.lockFile, encoding: .utf8) == text)
            try await second.close()
            try reader.close()
            let third = try await fixture.open()
            #expect(try String(contentsOfFile: directory.lockFile, encoding: .utf8) == "\(getpid())\n")
            let id = try await fixture.run(third).messageID
            #expect(try await fixture.messageIDs(third) == [id])
            try await third.close()
        }
    }

    @Test("After a normal close the WAL is empty and no longer marked as suspect")
    func markRemovedAfterClose() async throws {
        try await SpoolFixture.with { fixture in
            let first = try await fixture.open()
            first.writer.markLogSuspect()
            try await first.close()
            #expect(SpoolDirectory.size("\(fixture.file)-wal") ?? 0 == 0)
            let second = try await fixture.open()
            let text = try String(contentsOfFile: SpoolDirectory(path: fixture.directory).lockFile, encoding: .utf8)
            #expect(text == "\(getpid())\n")
            try await second.close()
        }
    }
}
