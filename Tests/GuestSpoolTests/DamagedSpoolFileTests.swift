// SPDX-License-Identifier: Apache-2.0

import Foundation
import GRDB
import LogTesting
import Logging
import Notifications
import Testing

@testable import GuestSpool

@Suite struct DamagedSpoolFileTests {
    enum Damage: CaseIterable {
        case notADatabase, firstPage, truncated, log, missingTally, absurdTally, garbledColumn, missingTable, header

        /// Whether everything in the file can still be read.
        var sparesRows: Bool {
            switch self {
            case .notADatabase, .firstPage, .truncated: false
            case .log, .missingTally, .absurdTally, .garbledColumn, .missingTable, .header: true
            }
        }

        func apply(_ fixture: SpoolFixture) throws {
            switch self {
            case .notADatabase: try Data("gone".utf8).write(to: URL(filePath: fixture.file))
            case .firstPage:
                let handle = try FileHandle(forWritingTo: URL(filePath: fixture.file))
                try handle.write(contentsOf: Data(repeating: 0x5a, count: 4096))
                try handle.close()
            case .truncated: #expect(truncate(fixture.file, 3 * 4096) == 0)
            case .log:
                try Data(repeating: 0x5a, count: 40_000).write(to: URL(filePath: "\(fixture.file)-wal"))
            case .missingTally: try fixture.change("DELETE FROM tally")
            case .absurdTally: try fixture.change("UPDATE tally SET begun = 9223372036854775807")
            case .garbledColumn: try fixture.change("ALTER TABLE tally RENAME COLUMN refused TO revused")
            case .missingTable: try fixture.change("ALTER TABLE tally RENAME TO elsewhere")
            case .header: try fixture.change("PRAGMA application_id = 0")
            }
        }
    }

    @Test("Opening a damaged spool keeps the damaged file and recovers every readable row", arguments: Damage.allCases)
    func openDamagedFile(_ damage: Damage) async throws {
        try await SpoolFixture.with { fixture in
            let first = try await fixture.open()
            let reports = [
                try await fixture.run(first), try await fixture.run(first), try await fixture.run(first),
            ]
            let entries = try await first.entries(after: 0, limit: 3)
            try await first.setAside(entries[1].sequence, reason: "unknown event")
            let running = try await fixture.begin(first)
            try await first.close()
            try damage.apply(fixture)

            let second = try await fixture.open()
            #expect(fixture.log.entries.contains { $0.level == .critical && $0.metadata["file"] != nil })
            let found = try #require(fixture.damages.first)
            #expect(fixture.damages.count == 1 && !found.reason.isEmpty)
            #expect(found.path.wholeMatch(of: /.*\/spool\.sqlite\.damaged-\d{8}T\d{6}Z/) != nil)
            if damage == .log { #expect(SpoolDirectory.size("\(found.path)-wal") == 40_000) }
            var counts = try await second.counts()
            #expect(counts.isBalanced)
            if damage.sparesRows {
                #expect(found.recovered == DamagedSpoolFile.RecoveredRows(running: 1, waiting: 2, setAside: 1))
                #expect(
                    try await fixture.messageIDs(second) == [reports[0].messageID, reports[2].messageID, running])
                #expect(
                    try await second.entries(after: 0, limit: 2).map(\.sequence)
                        == [entries[0].sequence, entries[2].sequence])
                #expect(counts.begun == 4 && counts.setAside == 1 && counts.waiting == 3)
            }
            // The repaired spool records further operations.
            let report = try await fixture.run(second)
            #expect(try await fixture.messageIDs(second).last == report.messageID)
            counts = try await second.counts()
            #expect(counts.isBalanced)
            try await second.verify()
            try await second.close()
            #expect(fixture.damages.count == 1)
            let names = try FileManager.default.contentsOfDirectory(atPath: fixture.directory)
            #expect(!names.contains { $0.contains("mending") || $0.contains(".new") || $0.hasSuffix(".part") })
        }
    }

    /// Fills a spool with reports a third of a page long, so that damage to one page affects few of them.
    private func backlog(_ fixture: SpoolFixture) async throws -> [OutcomeReport] {
        try await fixture.fill(1500, String(repeating: "x", count: 1000))
    }

    @Test("A damaged page that a running agent reads is repaired, and the order of outcomes is kept")
    func damagedPageWhileRunning() async throws {
        try await SpoolFixture.with { fixture in
            let reports = try await self.backlog(fixture)
            let spool = try await fixture.open()
            let running = try await fixture.begin(spool)
            try fixture.garble(pagesWith: reports[700].messageID.description) { $0 }
            #expect(fixture.damages.isEmpty)
            let before = FileManager.default.contents(atPath: fixture.file)

            let entries = try await spool.entries(after: 0, limit: 2000)
            // The damaged file is kept as it was found, with the WAL that holds the begun operation.
            let path = try #require(fixture.damages.first).path
            #expect(FileManager.default.contents(atPath: path) == before)
            #expect(SpoolDirectory.size("\(path)-wal") ?? 0 > 0)
            let found = entries.map(\.report.messageID)
            let all = reports.map(\.messageID)
            #expect(fixture.damages.count == 1)
            #expect(!found.contains(all[700]))
            #expect(found.count >= 1490 && found.first == all.first && found.last == all.last)
            // In their order, under their sequence numbers.
            let kept = Set(found)
            #expect(found == all.filter { kept.contains($0) })
            #expect(entries.last?.sequence == 1500)
            // The running operation continues, and its outcome has a sequence number that no other had.
            try await spool.finish(fixture.report(id: running))
            let last = try #require(try await spool.entries(after: 1500, limit: 10).first)
            #expect(last.report.messageID == running && last.sequence > 1500)
            let counts = try await spool.counts()
            #expect(counts.isBalanced && counts.begun == found.count + 1 && counts.running == 0)
            try await spool.close()
        }
    }

    @Test("If no row is readable, running operations and used sequence numbers are still known")
    func noReadableRows() async throws {
        try await SpoolFixture.with { fixture in
            _ = try await fixture.fill(5)
            let spool = try await fixture.open()
            let running = try await fixture.begin(spool)
            #expect(try await spool.entries(after: 0, limit: 10).last?.sequence == 5)
            let handle = try FileHandle(forWritingTo: URL(filePath: fixture.file))
            try handle.write(contentsOf: Data(repeating: 0xa5, count: try #require(SpoolDirectory.size(fixture.file))))
            try handle.close()
            try await spool.verify()
            let damage = try #require(fixture.damages.first)
            #expect(damage.recovered == DamagedSpoolFile.RecoveredRows(running: 1, waiting: 0, setAside: 0))
            try await spool.finish(fixture.report(id: running))
            let entries = try await spool.entries(after: 5, limit: 10)
            #expect(entries.map(\.report.messageID) == [running])
            let counts = try await spool.counts()
            #expect(counts.isBalanced && counts.begun == 1)
            try await spool.close()
        }
    }

    @Test("A write that meets a damaged page repairs the file and completes")
    func damagedPageDuringWrite() async throws {
        try await SpoolFixture.with { fixture in
            let reports = try await self.backlog(fixture)
            let spool = try await fixture.open()
            let known = try await spool.entries(after: 1490, limit: 100).map(\.sequence)
            try fixture.garble(pagesWith: reports[700].messageID.description) { $0 }
            try await spool.remove([1, 701, 1500])
            #expect(fixture.damages.count == 1)
            let ids = try await fixture.messageIDs(spool)
            #expect(!ids.contains(reports[0].messageID) && !ids.contains(reports[1499].messageID))
            #expect(ids.contains(reports[1].messageID) && ids.contains(reports[1498].messageID))
            // A reader that knows the last sequence number must never see another outcome under it.
            _ = try await fixture.run(spool)
            #expect(try await spool.entries(after: try #require(known.last), limit: 10).count == 1)
            try await spool.close()
        }
    }

    /// Opening does not find the damage, so it has not read the waiting outcomes; verifying finds it.
    @Test("Opening a spool does not read its backlog; verifying reads all of it and finds damage")
    func verifyFindsDamage() async throws {
        try await SpoolFixture.with { fixture in
            let reports = try await fixture.fill(2)
            let text = String(decoding: JSONWriter.encode(.object(reports[0].json)), as: UTF8.self)
            try fixture.change(
                """
                WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
                INSERT INTO waiting (message_id, phase, report)
                SELECT '\(reports[0].messageID)', 'end', CAST('\(text)' AS BLOB) FROM n;
                UPDATE tally SET begun = begun + 100000, waiting = waiting + 100000,
                bytes = bytes + 100000 * \(text.utf8.count);
                """)
            try fixture.garble(pagesWith: reports[0].messageID.description) { pages in
                #expect(pages.count > 5000)
                return Array(pages.dropFirst(20).dropLast(20))
            }
            let spool = try await fixture.open()
            #expect(fixture.damages.isEmpty)
            #expect(try await spool.counts().waiting == 100_002)
            #expect(try await spool.entries(after: 0, limit: 1).count == 1)
            try await spool.verify()
            let damage = try #require(fixture.damages.first)
            #expect(damage.recovered.waiting > 100 && damage.recovered.waiting < 2000)
            let counts = try await spool.counts()
            #expect(counts.isBalanced && counts.waiting == damage.recovered.waiting)
            // The last outcome, after a gap of tens of thousands of sequence numbers.
            #expect(try await spool.entries(after: 100_001, limit: 1).count == 1)
            try await spool.close()
        }
    }

    @Test("Rows that cannot be decoded are set aside, and the other outcomes are returned")
    func undecodableRows() async throws {
        try await SpoolFixture.with { fixture in
            let reports = try await fixture.fill(5)
            try fixture.change(
                """
                UPDATE waiting SET report = CAST('{' AS BLOB) WHERE sequence = 1;
                UPDATE waiting SET report = 7 WHERE sequence = 2;
                UPDATE waiting SET message_id = x'00' WHERE sequence = 4;
                """)
            let spool = try await fixture.open()
            // Even if no row within the limit can be decoded.
            #expect(try await spool.entries(after: 0, limit: 1).map(\.report) == [reports[2]])
            #expect(try await fixture.messageIDs(spool) == [reports[2].messageID, reports[4].messageID])
            let counts = try await spool.counts()
            #expect(counts.isBalanced && counts.setAside == 3 && counts.waiting == 2)
            let reasons = try await spool.store.read { db in
                try String.fetchAll(db, sql: "SELECT reason FROM set_aside ORDER BY sequence")
            }
            #expect(reasons.allSatisfy { $0.hasPrefix("The outcome cannot be read: ") })
            #expect(fixture.damages.isEmpty)
            try await spool.close()
        }
    }

    @Test("An interrupted operation whose context cannot be decoded is set aside")
    func undecodableOperation() async throws {
        try await SpoolFixture.with { fixture in
            let first = try await fixture.open()
            let id = try await fixture.begin(first)
            _ = try await fixture.begin(first)
            try await first.close()
            try fixture.change("UPDATE running SET context = 'x' WHERE message_id <> '\(id)'")
            let second = try await fixture.open()
            #expect(try await fixture.messageIDs(second) == [id])
            let counts = try await second.counts()
            #expect(counts.isBalanced && counts.setAside == 1 && counts.running == 0)
            try await second.close()
        }
    }

    enum Step: CaseIterable { case marked, logMoved, allMoved, emptyMade, halfMade, inPlace }

    @Test("A repair that a kill cut short is completed at the next open", arguments: Step.allCases)
    func interruptedRepair(_ step: Step) async throws {
        try await SpoolFixture.with { fixture in
            let reports = try await fixture.fill(3)
            try fixture.change("DELETE FROM tally")
            let name = "spool.sqlite.damaged-20261121T142500Z"
            let damaged = "\(fixture.directory)/\(name)"
            func move(_ suffix: String) throws {
                try FileManager.default.moveItem(atPath: fixture.file + suffix, toPath: damaged + suffix)
            }
            try Data().write(to: URL(filePath: "\(fixture.file)-wal"))
            if step == .inPlace {
                // A finished repair, except for its marker.
                try await fixture.open().close()
                let made = try #require(fixture.damages.first)
                for suffix in ["", ".json"] {
                    try FileManager.default.moveItem(atPath: made.path + suffix, toPath: damaged + suffix)
                }
                try? FileManager.default.removeItem(atPath: "\(made.path)-wal")
                try? FileManager.default.removeItem(atPath: "\(made.path)-shm")
            } else if step != .marked {
                try move("-wal")
                if step != .logMoved { try move("") }
            }
            if step == .emptyMade {
                // As a SQLite program does that opens the database in between.
                try Data().write(to: URL(filePath: fixture.file))
            }
            if step == .halfMade {
                try Data("half".utf8).write(to: URL(filePath: "\(fixture.directory)/\(SpoolDirectory.newFile)"))
            }
            try Data("\(name)\nthe tally is missing\n".utf8)
                .write(to: URL(filePath: SpoolDirectory(path: fixture.directory).marker))
            let spool = try await fixture.open()
            #expect(try await fixture.messageIDs(spool) == reports.map(\.messageID))
            #expect(try await spool.counts().isBalanced)
            #expect(fixture.damages.map(\.path) == [damaged])
            #expect(fixture.damages.first?.reason == "the tally is missing")
            #expect(fixture.damages.first?.recovered.waiting == 3)
            try await spool.close()
            let names = try FileManager.default.contentsOfDirectory(atPath: fixture.directory)
            #expect(!names.contains { $0.contains("mending") || $0.contains(".new") })
        }
    }

    @Test("Only the newest ten damaged files are kept")
    func damagedFileLimit() async throws {
        try await SpoolFixture.with { fixture in
            for _ in 0..<12 {
                _ = try await fixture.fill(1)
                try fixture.change("DELETE FROM tally")
            }
            try await fixture.open().close()
            #expect(fixture.damages.count == 10)
            #expect(fixture.damages.last?.recovered.waiting == 12)
        }
    }

    @Test("The newest damaged file of one second sorts last, even after older ones are removed")
    func damagedNamesSortByAge() async throws {
        try await SpoolFixture.with { fixture in
            let directory = SpoolDirectory(path: fixture.directory)
            let time = Date(timeIntervalSince1970: 1_800_000_000)
            let base = "spool.sqlite.damaged-20270115T080000Z"
            try directory.create()
            var names: [String] = []
            for index in 0..<12 {
                let present = try FileManager.default.contentsOfDirectory(atPath: fixture.directory)
                names.append(SpoolDirectory.newDamagedName(among: present, at: time))
                let file = URL(filePath: "\(fixture.directory)/\(names[index])")
                try Data().write(to: file)
                try Data().write(to: file.appendingPathExtension("json"))
                // Only the newest ten are kept.
                guard index >= 10 else { continue }
                try FileManager.default.removeItem(atPath: "\(fixture.directory)/\(names[index - 10])")
            }
            #expect(names == [base] + (2...12).map { "\(base)-\($0 < 10 ? "0" : "")\($0)" })
            let present = try FileManager.default.contentsOfDirectory(atPath: fixture.directory)
            #expect(SpoolDirectory.damagedNames(among: present) == Array(names.dropFirst(2)))
            let next = SpoolDirectory.newDamagedName(among: present, at: time + 1)
            #expect(next == "spool.sqlite.damaged-20270115T080001Z")
        }
    }

    @Test("Verifying recovers an outcome that was stored under an unknown phase")
    func unknownPhase() async throws {
        try await SpoolFixture.with { fixture in
            let reports = try await fixture.fill(2)
            try fixture.change("UPDATE waiting SET phase = 'enf' WHERE sequence = 1")
            let spool = try await fixture.open()
            try await spool.verify()
            #expect(
                try await spool.entries(.end, after: 0, limit: 9).map(\.report.messageID)
                    == reports.map(\.messageID))
            try await spool.close()
        }
    }

    @Test("An operation whose outcome is recovered is not also reported as interrupted")
    func recoveredOutcomeNotInterrupted() async throws {
        try await SpoolFixture.with { fixture in
            let reports = try await fixture.fill(2)
            let first = try await fixture.open()
            try await first.setAside(1, reason: "unknown event")
            for report in reports { _ = try await fixture.begin(first, report.messageID) }
            try await first.close()
            // As when only some of a transaction's pages have reached the disk.
            try fixture.change(
                """
                INSERT INTO waiting SELECT sequence, message_id, phase, report FROM set_aside;
                DELETE FROM tally;
                """)
            let second = try await fixture.open()
            #expect(try await fixture.messageIDs(second) == reports.map(\.messageID))
            let counts = try await second.counts()
            #expect(counts.isBalanced && counts.begun == 2 && counts.waiting == 2)
            try await second.verify()
            #expect(fixture.damages.count == 1)
            try await second.close()
        }
    }

    @Test("Recovery throws if the file cannot be opened for a reason other than damage")
    func recoveryCannotOpenFile() async throws {
        try await SpoolFixture.with { fixture in
            _ = try await fixture.fill(1)
            // SQLite reports the same error when a process has no file descriptors left.
            try FileManager.default.createDirectory(
                atPath: "\(fixture.file)-wal", withIntermediateDirectories: false)
            #expect(throws: DatabaseError.self) {
                _ = try SpoolRecovery(from: fixture.file, to: "\(fixture.directory)/made", after: 0)
            }
        }
    }

    @Test("A tally with an implausible count rejects operations until verifying repairs it")
    func implausibleTally() async throws {
        try await SpoolFixture.with { fixture in
            let reports = try await fixture.fill(1)
            try fixture.change("UPDATE tally SET running = 1 << 55, begun = 1 << 55")
            let spool = try await fixture.open()
            let error = await #expect(throws: OutboxError.self) { _ = try await fixture.begin(spool) }
            #expect(error?.code == .full)
            try await spool.verify()
            try await fixture.run(spool)
            #expect(try await fixture.messageIDs(spool).first == reports[0].messageID)
            try await spool.close()
        }
    }
}
