// SPDX-License-Identifier: Apache-2.0

import Foundation
import GRDB
import LogTesting
import Logging
import Notifications
import Testing

@testable import GuestSpool

@Suite struct SpoolInspectionTests {
    private let logger = Logger.quiet
    private let context = NotificationContext(
        operation: "user_create", requestID: "r", tenantID: "t", clientIP: "c")

    private func with(_ body: (String) async throws -> Void) async throws {
        // A name with characters that are special in a URI.
        let directory = FileManager.default.temporaryDirectory.appending(path: "spool-\(UUID().uuidString)#?%41").path
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try await body(directory)
    }

    /// Begins and ends operations, and sets as many of their outcomes aside as there are reasons.
    @discardableResult
    private func fill(_ directory: String, _ count: Int, setAside reasons: [String] = []) async throws -> [MessageID] {
        let spool = try await Spool.open(directory, logger: self.logger)
        var ids: [MessageID] = []
        for _ in 0..<count {
            let report = OutcomeReport(context: self.context, outcome: .end(payload: ["instance_id": "i"]))
            try await spool.begin(BegunOperation(messageID: report.messageID, context: self.context))
            try await spool.finish(report)
            ids.append(report.messageID)
        }
        for (entry, reason) in zip(try await spool.entries(after: 0, limit: count), reasons) {
            try await spool.setAside(entry.sequence, reason: reason)
        }
        try await spool.close()
        return ids
    }

    /// Returns the contents of the directory's files, except for SQLite's table of readers.
    private func files(_ directory: String) throws -> [String: Data] {
        var files: [String: Data] = [:]
        for name in try FileManager.default.contentsOfDirectory(atPath: directory) where !name.hasSuffix("-shm") {
            files[name] = try Data(contentsOf: URL(fileURLWithPath: "\(directory)/\(name)"))
        }
        return files
    }

    /// Checkpoints the write-ahead log (WAL), and removes it.
    private func checkpoint(_ directory: String) throws {
        let database = try DatabaseQueue(path: "\(directory)/spool.sqlite")
        try database.inDatabase { try $0.execute(sql: "PRAGMA user_version = 0") }
        try database.close()
    }

    @Test("A spool without a WAL is read, and no WAL is created")
    func readWithoutWAL() async throws {
        try await self.with { directory in
            try await self.fill(directory, 3)
            try self.checkpoint(directory)
            let before = try FileManager.default.contentsOfDirectory(atPath: directory).sorted()
            #expect(before == ["agent.lock", "spool.sqlite"])
            #expect(try await SpoolInspection(directory).overview().counts.waiting == 3)
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory).sorted() == before)
        }
    }

    @Test("An overview counts the outcomes of a spool and changes no file")
    func overviewChangesNothing() async throws {
        try await self.with { directory in
            try await self.fill(directory, 5, setAside: ["unknown", "too large", "unknown"])
            try Data().write(to: URL(fileURLWithPath: "\(directory)/spool.sqlite.damaged-20150628T055457Z"))
            let before = try self.files(directory)
            let overview = try await SpoolInspection(directory).overview()
            #expect(overview.holder == .noAgent)
            #expect((overview.counts.begun, overview.counts.waiting, overview.counts.setAside) == (5, 2, 3))
            #expect(overview.reasons.map(\.text) == ["unknown", "too large"])
            #expect(overview.reasons.map(\.count) == [2, 1])
            #expect(overview.isBalanced && overview.bytes > 0)
            #expect(overview.waitingSince != nil && overview.runningSince == nil)
            #expect(overview.damagedFiles.map(\.name) == ["spool.sqlite.damaged-20150628T055457Z"])
            let after = try self.files(directory)
            #expect(after == before)
        }
    }

    @Test("An overview shows running operations while the agent runs and after it has ended")
    func runningOperations() async throws {
        try await self.with { directory in
            let spool = try await Spool.open(directory, logger: self.logger)
            try await spool.begin(BegunOperation(messageID: MessageID(), context: self.context))
            let process = ProcessInfo.processInfo.processIdentifier
            for _ in 0..<2 {
                let overview = try await SpoolInspection(directory).overview()
                #expect(overview.holder == .process(process))
                #expect((overview.counts.running, overview.counts.waiting) == (1, 0))
                #expect(overview.runningSince != nil)
            }
            try await spool.close()
            let overview = try await SpoolInspection(directory).overview()
            #expect(overview.holder == .noAgent && overview.counts.running == 1)
        }
    }

    @Test("An overview detects counts that do not match the tables")
    func mismatchedCounts() async throws {
        try await self.with { directory in
            try await self.fill(directory, 2)
            let database = try DatabaseQueue(path: "\(directory)/spool.sqlite")
            try await database.write { try $0.execute(sql: "DELETE FROM waiting WHERE sequence = 1") }
            try database.close()
            let overview = try await SpoolInspection(directory).overview()
            #expect(overview.counts.isBalanced && !overview.isBalanced)
        }
    }

    @Test("A spool of the first version is read, and a retry needs its migration by an agent")
    func firstVersion() async throws {
        try await self.with { directory in
            try await self.fill(directory, 2, setAside: ["unknown"])
            let database = try DatabaseQueue(path: "\(directory)/spool.sqlite")
            try await database.write { db in
                try db.execute(
                    sql: """
                        ALTER TABLE tally DROP COLUMN exported; DELETE FROM grdb_migrations WHERE identifier = '2'
                        """)
            }
            try database.close()
            let inspection = SpoolInspection(directory)
            #expect(try await inspection.overview().isBalanced)
            let outcome = try #require(try await inspection.outcomes(.setAside, limit: 1).first)
            let error = await #expect(throws: OutboxError.self) {
                try await SetAsideOutcomes(directory).retry([outcome.sequence])
            }
            #expect(error?.description.contains("version") == true)
            // The next agent migrates it.
            try await (try await Spool.open(directory, logger: self.logger)).close()
            #expect(try await SetAsideOutcomes(directory).retry([outcome.sequence]) == 1)
        }
    }

    @Test("A spool whose agent ended before it created the tables is empty")
    func missingTables() async throws {
        try await self.with { directory in
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            try Data().write(to: URL(fileURLWithPath: "\(directory)/spool.sqlite"))
            #expect(try await SpoolInspection(directory).overview().counts == OutboxCounts())
            #expect(try await SpoolInspection(directory).outcomes(.waiting, limit: 10).isEmpty)
        }
    }

    @Test("A directory without a spool is rejected with an error code and left unchanged")
    func notASpool() async throws {
        try await self.with { directory in
            func code() async -> OutboxError.Code? {
                await #expect(throws: OutboxError.self) { _ = try await SpoolInspection(directory).overview() }?.code
            }
            #expect(await code() == .noSpool)
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            #expect(await code() == .noSpool)
            let file = "\(directory)/spool.sqlite"
            try FileManager.default.createDirectory(atPath: file, withIntermediateDirectories: true)
            #expect(await code() == .noSpool)
            try FileManager.default.removeItem(atPath: file)
            try Data(String(repeating: "no database ", count: 1000).utf8).write(to: URL(fileURLWithPath: file))
            #expect(await code() == .failed)
            try FileManager.default.removeItem(atPath: file)
            let database = try DatabaseQueue(path: file)
            try await database.write { try $0.execute(sql: "CREATE TABLE tally (sum TEXT)") }
            try database.close()
            #expect(await code() == .noSpool)
            await #expect(throws: OutboxError.self) { try await SetAsideOutcomes(directory).retry([1]) }
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory) == ["spool.sqlite"])
        }
    }

    @Test("An outcome is shown as the request that a conductor would receive")
    func outcomeAsRequest() async throws {
        try await self.with { directory in
            let ids = try await self.fill(directory, 2, setAside: ["unknown event"])
            let inspection = SpoolInspection(directory)
            let outcome = try #require(try await inspection.outcome(ids[0]))
            #expect(outcome.state == .setAside && outcome.reason == "unknown event" && outcome.setAsideAt != nil)
            let report = try #require(outcome.report)
            #expect(outcome.json["method"] == "notify_end" && outcome.json["params"] == .object(report.json))
            #expect(try await inspection.outcome(ids[1])?.state == .waiting)
            #expect(try await inspection.outcome(MessageID()) == nil)
            #expect(try await inspection.outcomes(.waiting, limit: 5).map(\.messageID) == [ids[1].description])
        }
    }

    @Test("A damaged outcome is shown as its stored bytes")
    func damagedOutcome() async throws {
        try await self.with { directory in
            let ids = try await self.fill(directory, 1)
            let database = try DatabaseQueue(path: "\(directory)/spool.sqlite")
            try await database.write { try $0.execute(sql: "UPDATE waiting SET report = '{}x'") }
            try database.close()
            let outcome = try #require(try await SpoolInspection(directory).outcome(ids[0]))
            #expect(outcome.report == nil && outcome.json["params"] == nil)
            #expect(outcome.json["damaged_params"] == "e314")  // printf '{}x' | base64
        }
    }

    @Test(
        "A spool of an old version, in a claim or in a repair must be opened before a retry",
        arguments: [
            "ALTER TABLE origin DROP COLUMN is_claimed; DELETE FROM grdb_migrations WHERE identifier = '5'",
            """
            ALTER TABLE tally DROP COLUMN exported; DROP TABLE origin; ALTER TABLE set_aside DROP COLUMN guest;
            ALTER TABLE set_aside DROP COLUMN is_copied; DELETE FROM grdb_migrations WHERE identifier <> '1'
            """,
            "UPDATE origin SET is_claimed = 1", nil,
        ])
    func mustBeOpened(change: String?) async throws {
        try await SpoolFixture.with { fixture in
            let spool = try await fixture.open()
            spool.setGuest(["guest-1"])
            try await fixture.run(spool)
            let entry = try #require(try await spool.entries(after: 0, limit: 1).first)
            try await spool.setAside(entry.sequence, reason: "unknown")
            try await spool.close()
            let inspection = SpoolInspection(fixture.directory)
            #expect(try await !inspection.overview().mustBeOpened)

            if let change {
                try fixture.change(change)
            } else {
                let marker = "spool.sqlite.damaged-20261121T000000Z\nreason\n"
                try Data(marker.utf8).write(to: URL(filePath: "\(fixture.directory)/spool.sqlite.mending"))
            }
            #expect(try await inspection.overview().mustBeOpened)
            let error = await #expect(throws: OutboxError.self) {
                try await SetAsideOutcomes(fixture.directory).retry([entry.sequence])
            }
            #expect(error?.description.contains("flush") == true, "\(String(describing: error))")

            let again = try await fixture.open()
            again.setGuest(["guest-1"])
            try await again.close()
            #expect(try await !inspection.overview().mustBeOpened)
            #expect(try await SetAsideOutcomes(fixture.directory).retry([entry.sequence]) == 1)
        }
    }

    @Test(
        "The system's list of locks shows which process holds a spool",
        arguments: [
            ("1: FLOCK  ADVISORY  WRITE 7 fe:01:99 0 EOF", SpoolHolder.process(7)),
            ("1: FLOCK  ADVISORY  WRITE 4711 00:2b:99 0 EOF", .process(4711)),
            ("1: FLOCK  ADVISORY  WRITE 7 00:2b:99 0 EOF", .noAgent),
            ("1: -> FLOCK  ADVISORY  WRITE 4711 fe:01:99 0 EOF", .noAgent),
            ("1: POSIX  ADVISORY  WRITE 4711 fe:01:99 0 EOF", .noAgent),
            ("1: FLOCK  ADVISORY  WRITE 4711 fe:01:98 0 EOF\n2: FLOCK", .noAgent),
            ("", .noAgent),
        ])
    func holderFromLockList(list: String, holder: SpoolHolder) {
        let file = SpoolHolder.LockFile(inode: 99, major: 0xFE, minor: 1, process: 4711)
        #expect(SpoolHolder(file, among: list) == holder)
    }
}
