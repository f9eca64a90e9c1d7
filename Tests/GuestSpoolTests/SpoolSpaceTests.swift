// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Foundation
import GRDB
import Notifications
import Testing

@testable import GuestSpool

@Suite struct SpoolSpaceTests {
    /// Returns the number of free pages and the number of all pages of the file.
    private func pages(_ spool: Spool) async throws -> (free: Int, all: Int) {
        try await spool.store.read { db in
            (
                try Int.fetchOne(db, sql: "PRAGMA freelist_count") ?? 0,
                try Int.fetchOne(db, sql: "PRAGMA page_count") ?? 0
            )
        }
    }

    @Test("A removed outcome is no longer in any of the spool's files")
    func overwriteRemovedOutcomes() async throws {
        try await SpoolFixture.with { fixture in
            // The short one is stored in its row, the long one in pages of its own.
            let secrets = ["brief-4f1c9a", String(repeating: "lengthy-77b20e", count: 1000)]
            let spool = try await fixture.open()
            let kept = try await fixture.run(spool, "kept-93d1f0")
            for secret in secrets { try await fixture.run(spool, secret) }
            let removed = try await spool.entries(after: 0, limit: 10).filter { $0.report.messageID != kept.messageID }
            try #require(removed.count == 2)
            try await spool.remove(removed.map(\.sequence))
            try await spool.close()
            let names = try FileManager.default.contentsOfDirectory(atPath: fixture.directory)
            let bytes = try names.map { try Data(contentsOf: URL(filePath: "\(fixture.directory)/\($0)")) }
            func isFound(_ text: String) -> Bool { bytes.contains { $0.range(of: Data(text.utf8)) != nil } }
            #expect(isFound("kept-93d1f0"))
            #expect(!isFound("brief-4f1c9a") && !isFound("lengthy-77b20e"))
        }
    }

    @Test("Each connection sets SQLite to overwrite removed outcomes, whatever its default")
    func secureDeleteSetting() throws {
        let database = try DatabaseQueue(configuration: SpoolFile.settings())
        try database.inDatabase { db in
            // The preparation runs for each connection.
            #expect(try Int.fetchOne(db, sql: "PRAGMA wal_autocheckpoint") == 0)
            try db.execute(sql: "PRAGMA secure_delete = OFF")
            try #require(try Int.fetchOne(db, sql: "PRAGMA secure_delete") == 0)
            try SpoolFile.prepare(db)
            #expect(try Int.fetchOne(db, sql: "PRAGMA secure_delete") == 1)
        }
    }

    @Test("The file shrinks after a backlog is removed")
    func shrinkAfterBacklog() async throws {
        try await SpoolFixture.with { fixture in
            let reports = try await fixture.fill(4000, String(repeating: "x", count: 4000))
            let spool = try await fixture.open()
            let before = try await self.pages(spool)
            let sizeBefore = try #require(SpoolDirectory.size(fixture.file))
            #expect(before.all > 4000)
            for _ in 0..<8 {
                try await spool.remove(try await spool.entries(after: 0, limit: 500).map(\.sequence))
            }
            #expect(reports.count == 4000)
            // The shrinking that a removal starts continues between other writes until it is complete.
            repeat {
                spool.store.writing.sync {}
            } while try await self.pages(spool).free > SpoolFile.spareFreePages
            let after = try await self.pages(spool)
            #expect(after.free == SpoolFile.spareFreePages && after.all < 2 * SpoolFile.spareFreePages)
            spool.store.writing.sync {}
            let sizeAfter = try #require(SpoolDirectory.size(fixture.file))
            #expect(sizeAfter < 2 * SpoolFile.spareFreePages * 4096 && sizeAfter < sizeBefore / 2)
            #expect(try #require(SpoolDirectory.size("\(fixture.file)-wal")) < 20 << 20)
            try await spool.close()
        }
    }
}
