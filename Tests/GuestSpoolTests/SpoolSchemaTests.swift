// SPDX-License-Identifier: Apache-2.0

import Foundation
import GRDB
import Notifications
import Testing

@testable import GuestSpool

@Suite struct SpoolSchemaTests {
    private func content(_ fixture: SpoolFixture) -> Data? { FileManager.default.contents(atPath: fixture.file) }

    @Test("The file's header has the application id of a spool")
    func applicationID() async throws {
        try await SpoolFixture.with { fixture in
            try await fixture.open().close()
            let data = try #require(self.content(fixture))
            // https://www.sqlite.org/fileformat2.html: the application id is at offset 68.
            #expect(Array(data[68..<72]) == Array("CNRS".utf8))
        }
    }

    @Test("A file of a newer version is rejected and left unchanged")
    func newerVersion() async throws {
        try await SpoolFixture.with { fixture in
            _ = try await fixture.fill(3)
            try fixture.change("INSERT INTO grdb_migrations VALUES ('of the future'); DROP TABLE set_aside")
            let before = self.content(fixture)
            let error = await #expect(throws: OutboxError.self) { _ = try await fixture.open() }
            #expect(error?.code == .tooNew)
            #expect(error?.description.contains("newer version") == true)
            #expect(self.content(fixture) == before)
            #expect(fixture.damages.isEmpty)
        }
    }

    @Test("Another program's database is rejected and left unchanged")
    func foreignDatabase() async throws {
        try await SpoolFixture.with { fixture in
            try FileManager.default.createDirectory(atPath: fixture.directory, withIntermediateDirectories: true)
            try fixture.change("CREATE TABLE songs (title TEXT); PRAGMA application_id = 7")
            let before = self.content(fixture)
            let error = await #expect(throws: OutboxError.self) { _ = try await fixture.open() }
            #expect(error?.code == .notASpool)
            #expect(self.content(fixture) == before)
            #expect(fixture.damages.isEmpty)
        }
    }

    /// Copies the files in the middle of the migration: a kill at that moment leaves the same files on the disk.
    @Test("A migration that a kill cut short is completed at the next open", arguments: ["-wal", "-journal"])
    func interruptedMigration(_ log: String) async throws {
        try await SpoolFixture.with { whole in
            try await SpoolFixture.with { cut in
                try FileManager.default.createDirectory(atPath: whole.directory, withIntermediateDirectories: true)
                var settings = SpoolFile.settings()
                settings.journalMode = log == "-wal" ? .wal : .default
                let database = try DatabaseQueue(path: whole.file, configuration: settings)
                try await database.writeWithoutTransaction { db in
                    // Unfinished pages are in the log too.
                    try db.execute(sql: "PRAGMA cache_size = 1; PRAGMA cache_spill = 1")
                    db.trace { event in
                        guard event.description.hasPrefix("CREATE INDEX waiting_by_phase") else { return }
                        try? FileManager.default.copyItem(atPath: whole.directory, toPath: cut.directory)
                    }
                }
                try SpoolSchema.migrator.migrate(database)
                let size = try #require(SpoolDirectory.size("\(cut.file)\(log)"))
                #expect(size > 0)
                let spool = try await cut.open()
                let report = try await cut.run(spool)
                #expect(try await cut.messageIDs(spool) == [report.messageID])
                #expect(cut.damages.isEmpty)
                try await spool.close()
                try database.close()
            }
        }
    }
}
