// SPDX-License-Identifier: Apache-2.0

import Dispatch
import GRDB
import NIOConcurrencyHelpers
import Notifications
import Testing

@testable import GuestSpool

/// Tests with a file that may not grow: SQLite reports the same error for it as for a full disk.
@Suite struct SpoolFullDiskTests {
    private func limit(_ spool: Spool, toPages pages: Int?) {
        spool.store.writing.sync {
            try? spool.store.write { db in
                let now = try Int.fetchOne(db, sql: "PRAGMA page_count") ?? 0
                try db.execute(sql: "PRAGMA max_page_count = \(pages.map { now + $0 } ?? 1 << 30)")
            }
        }
    }

    private let long = String(repeating: "x", count: 200_000)

    @Test("An outcome that a full disk rejects is kept and written with the next outcome")
    func keptOutcomeWithNext() async throws {
        try await SpoolFixture.with { fixture in
            let spool = try await fixture.open()
            let id = try await fixture.begin(spool)
            self.limit(spool, toPages: 2)
            let error = await #expect(throws: OutboxError.self) {
                try await spool.finish(fixture.report(self.long, id: id))
            }
            #expect(error?.code == .diskFull)
            #expect(error?.description.contains("free some space") == true)
            #expect(error?.description.contains("stored in memory") == true)
            var counts = try await spool.counts()
            #expect(counts.isBalanced && counts.running == 1 && counts.waiting == 0)
            self.limit(spool, toPages: nil)
            try await fixture.run(spool)
            let entries = try await spool.entries(after: 0, limit: 10)
            #expect(entries.count == 2 && entries[0].report.messageID == id)
            guard case .end = entries[0].report.outcome else {
                Issue.record("the outcome that was kept is told as another")
                return
            }
            counts = try await spool.counts()
            #expect(counts.isBalanced && counts.waiting == 2)
            #expect(fixture.damages.isEmpty)
            try await spool.close()
        }
    }

    @Test("A kept outcome is written once the disk has room, and the arrival callback is called")
    func keptOutcomeCallback() async throws {
        try await SpoolFixture.with { fixture in
            let spool = try await fixture.open()
            let id = try await fixture.begin(spool)
            self.limit(spool, toPages: 2)
            await #expect(throws: OutboxError.self) { try await spool.finish(fixture.report(self.long, id: id)) }
            let (arrivals, continuation) = AsyncStream.makeStream(of: Void.self)
            spool.whenOutcomesArrive { continuation.yield() }
            self.limit(spool, toPages: nil)
            for await _ in arrivals { break }
            #expect(try await fixture.messageIDs(spool) == [id])
            try await spool.close()
        }
    }

    @Test("A kept outcome that is on the disk already is not written again")
    func keptOutcomeAlreadyWritten() async throws {
        try await SpoolFixture.with { fixture in
            let spool = try await fixture.open()
            let id = try await fixture.begin(spool)
            self.limit(spool, toPages: 2)
            await #expect(throws: OutboxError.self) { try await spool.finish(fixture.report(self.long, id: id)) }
            self.limit(spool, toPages: nil)
            // As on a system that reports a write as failed and then completes it.
            let change = SpoolChange.Finish(fixture.report("i", id: id))
            try spool.store.writing.sync {
                try spool.store.write { db in
                    var tally = try SpoolTally(db)
                    try change.apply(db, &tally)
                    try tally.save(db)
                }
            }
            try await fixture.run(spool)
            #expect(try await fixture.messageIDs(spool).count == 2)
            // Otherwise a new file, created after damage, would list it as running.
            #expect(!spool.store.isRunning(id.description))
            try await spool.close()
        }
    }

    @Test("A kept outcome is written when the spool closes")
    func keptOutcomeAtClose() async throws {
        try await SpoolFixture.with { fixture in
            let spool = try await fixture.open()
            let id = try await fixture.begin(spool)
            self.limit(spool, toPages: 2)
            await #expect(throws: OutboxError.self) { try await spool.finish(fixture.report(self.long, id: id)) }
            self.limit(spool, toPages: nil)
            try await spool.close()
            let again = try await fixture.open()
            #expect(try await again.entries(after: 0, limit: 1).first?.report.outcome.phase == .end)
            try await again.close()
        }
    }

    /// An operation that exceeds a limit is rejected and counted, whether or not its transaction succeeds.
    @Test("A rejection by a limit is reported and counted as such, even on a full disk")
    func limitRejectionOnFullDisk() async throws {
        try await SpoolFixture.with { fixture in
            var configuration = Spool.Configuration()
            configuration.maximumCount = 1
            let spool = try await fixture.open(configuration)
            let id = try await fixture.begin(spool)
            self.limit(spool, toPages: 2)
            let codes = NIOLockedValueBox<[OutboxError.Code]>([])
            try await fixture.together(spool, 2) { group in
                group.addTask {
                    do { _ = try await fixture.begin(spool) } catch let error as OutboxError {
                        codes.withLockedValue { $0.append(error.code) }
                    }
                }
                group.addTask {
                    while spool.writer.pendingCount < 1 { await Task.yield() }
                    do { try await spool.finish(fixture.report(self.long, id: id)) } catch let error as OutboxError {
                        codes.withLockedValue { $0.append(error.code) }
                    }
                }
            }
            let seen = codes.withLockedValue { $0 }
            #expect(seen.count == 2 && seen.contains(.full) && seen.contains(.diskFull))
            #expect(try await spool.counts().refused == 1)
            self.limit(spool, toPages: nil)
            spool.store.writing.sync {}
            await #expect(throws: OutboxError.self) { _ = try await fixture.begin(spool) }
            #expect(try await spool.counts().refused == 2)
            try await spool.close()
            let again = try await fixture.open(configuration)
            #expect(try await again.counts().refused == 2)
            try await again.close()
        }
    }
}
