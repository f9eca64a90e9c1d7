// SPDX-License-Identifier: Apache-2.0

import Foundation
import GRDB
import Notifications

/// A recovery that copies the readable rows of a damaged spool into a new one.
///
/// Where a page cannot be read, the recovery continues behind it. It looks rows up by their keys, so damage in one
/// place hides only the rows in that place, unless it is in the page that leads to all others.
struct SpoolRecovery {
    /// The maximum number of rows that are read and written together.
    private static let chunk = 200

    private let target: DatabaseQueue
    private let source: DatabaseQueue?
    private var tally = SpoolTally()
    private var unreadable = 0
    private var lastSequence: Int64

    /// Opens the damaged file and creates the new one.
    ///
    /// - Parameters:
    ///   - source: the damaged file's path; nil when the file no longer exists.
    ///   - target: the new file's path; the file must be empty or missing.
    ///   - sequence: outcomes that arise later get a higher sequence, also higher than those of all recovered outcomes.
    init(from source: String?, to target: String, after sequence: Int64) throws {
        var settings = SpoolFile.settings()
        self.target = try DatabaseQueue(path: target, configuration: settings)
        try SpoolSchema.migrator.migrate(self.target)
        self.lastSequence = sequence
        settings = GRDB.Configuration()
        settings.readonly = true
        settings.prepareDatabase { db in
            // This lets SQLite read a file that is shorter than its header says.
            try db.execute(sql: "PRAGMA writable_schema = ON")
        }
        do {
            self.source = try source.map { try DatabaseQueue(path: $0, configuration: settings) }
        } catch  where SpoolFailure(error) == .damage {
            // Nothing in the file can be read. Any other error may be temporary, and must not lose the file's content.
            self.source = nil
        }
    }

    /// Copies the readable rows.
    ///
    /// - Parameter running: the operations that are running, if this agent began them; nil to read them from the
    ///   damaged file.
    /// - Returns: the numbers of rows that were recovered, and the number of unreadable rows.
    /// - Throws: the error of the new file's disk.
    mutating func run(running: [SpoolChange.Begin]?) throws -> (
        recovered: DamagedSpoolFile.RecoveredRows, unreadable: Int
    ) {
        if let running {
            try self.target.write { db in
                for begin in running { try self.recover(begin, db) }
            }
        } else {
            try self.recoverRunning("ASC", ">")
            try self.recoverRunning("DESC", "<")
        }
        try self.recover("waiting", "sequence, message_id, phase, report") { recovery, row, db in
            guard let sequence = SpoolRow.integer(row[0]), let bytes = SpoolRow.bytes(row[3]),
                let report = try? SpoolRow.report(row[3], messageID: row[1])
            else { return false }
            try db.execute(
                sql: "INSERT INTO waiting (sequence, message_id, phase, report) VALUES (?, ?, ?, ?)",
                arguments: [sequence, report.messageID.description, report.outcome.phase.rawValue, bytes])
            recovery.tally.counts.waiting += 1
            recovery.tally.bytes += bytes.count
            return true
        }
        let guest = self.hasColumn("guest", of: "set_aside") ? "guest" : "NULL"
        let isCopied = self.hasColumn("is_copied", of: "set_aside") ? "is_copied" : "0"
        try self.recover(
            "set_aside", "sequence, message_id, phase, report, reason, set_aside_at, \(guest), \(isCopied)"
        ) { recovery, row, db in
            // An outcome may have been set aside because it cannot be decoded.
            guard let sequence = SpoolRow.integer(row[0]), let id = SpoolRow.text(row[1]),
                let phase = SpoolRow.text(row[2]), let bytes = SpoolRow.bytes(row[3]),
                let reason = SpoolRow.text(row[4]), let timestamp = SpoolRow.text(row[5])
            else { return false }
            try db.execute(
                sql: """
                    INSERT INTO set_aside (sequence, message_id, phase, report, reason, set_aside_at, guest, is_copied)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                    """,
                arguments: [
                    sequence, id, phase, bytes, reason, timestamp, SpoolRow.text(row[6]),
                    SpoolRow.integer(row[7]) != 0 || reason.hasPrefix(SpoolSchema.copiedReason),
                ])
            recovery.tally.counts.setAside += 1
            recovery.tally.bytes += bytes.count
            return true
        }
        try self.removeDuplicates()
        try self.finish()
        let counts = self.tally.counts
        return (
            DamagedSpoolFile.RecoveredRows(
                running: counts.running, waiting: counts.waiting, setAside: counts.setAside),
            self.unreadable
        )
    }

    /// Removes duplicates. If only some of a transaction's pages were on the disk, an operation may be in two tables,
    /// and would be reported twice. Its outcome takes precedence over the operation, and a waiting outcome takes
    /// precedence over one that is set aside, because it can still be set aside.
    private mutating func removeDuplicates() throws {
        try self.target.write { db in
            let ended = "SELECT message_id FROM waiting UNION SELECT message_id FROM set_aside"
            let running = try Int.fetchAll(
                db, sql: "DELETE FROM running WHERE message_id IN (\(ended)) RETURNING length(context)")
            let setAside = try Int.fetchAll(
                db,
                sql:
                    "DELETE FROM set_aside WHERE message_id IN (SELECT message_id FROM waiting) RETURNING length(report)"
            )
            self.tally.counts.running -= running.count
            self.tally.counts.setAside -= setAside.count
            self.tally.bytes -= (running + setAside).reduce(0, +)
        }
    }

    private func hasColumn(_ column: String, of table: String) -> Bool {
        (try? self.source?.read { db in try db.columns(in: table).contains { $0.name == column } }) ?? false
    }

    /// Copies the origin. If the damaged file was no copy, the new file's creation time is recorded, so that the new
    /// file does not look like a copy.
    ///
    /// - Parameters:
    ///   - made: the creation time of the damaged file.
    ///   - new: the creation time of the new file.
    func copyOrigin(made: String?, new: String?) throws {
        guard var origin = try? self.source?.read({ try SpoolOrigin($0) }) else { return }
        if origin.fileMade == made { origin.fileMade = new }
        try self.target.write { db in try origin.save(db) }
    }

    private mutating func finish() throws {
        let recorded = try? self.source?.read { db in
            try Int64.fetchOne(db, sql: "SELECT seq FROM sqlite_sequence WHERE name = 'waiting'")
        }
        if let recorded, recorded < 1 << 56 { self.lastSequence = max(self.lastSequence, recorded) }
        self.tally.counts.begun = self.tally.counts.running + self.tally.counts.waiting + self.tally.counts.setAside
        let (tally, lastSequence) = (self.tally, self.lastSequence)
        try self.target.write { db in
            try tally.save(db)
            try db.execute(
                sql: """
                    DELETE FROM sqlite_sequence WHERE name = 'waiting';
                    INSERT INTO sqlite_sequence (name, seq) VALUES ('waiting', \(lastSequence));
                    """)
        }
        try self.target.close()
        try? self.source?.close()
    }
}

// Running operations: they are read from both ends of the table, as far as possible.
extension SpoolRecovery {
    private mutating func recover(_ begin: SpoolChange.Begin, _ db: Database) throws {
        try db.execute(
            sql: "INSERT OR IGNORE INTO running VALUES (?, ?, ?)",
            arguments: [begin.messageID, begin.context, begin.begunAt])
        guard db.changesCount == 1 else { return }
        self.tally.counts.running += 1
        self.tally.bytes += begin.context.count
    }

    private mutating func recoverRunning(_ order: String, _ comparison: String) throws {
        var last = order == "ASC" ? "" : "~"
        while true {
            let (rows, isWhole) = self.read(
                "SELECT message_id, context, begun_at FROM running WHERE message_id \(comparison) ? ORDER BY message_id \(order) LIMIT \(Self.chunk)",
                [last])
            try self.target.write { db in
                for row in rows {
                    guard let begin = try? SpoolRow.begun(row) else {
                        self.unreadable += 1
                        continue
                    }
                    try self.recover(begin, db)
                }
            }
            guard isWhole, rows.count == Self.chunk, let id = SpoolRow.text(rows[rows.count - 1][0]),
                order == "ASC" ? id > last : id < last
            else { return }
            last = id
        }
    }
}

// Tables with a sequence as their key.
extension SpoolRecovery {
    /// Copies the readable rows of one table.
    ///
    /// - Parameter take: inserts a row into the new file, or returns false if the row cannot be read.
    private mutating func recover(
        _ table: String, _ columns: String, take: (inout SpoolRecovery, Row, Database) throws -> Bool
    ) throws {
        var last: Int64 = 0
        while true {
            let (read, isWhole) = self.read(
                "SELECT \(columns) FROM \(table) WHERE sequence > ? ORDER BY sequence LIMIT \(Self.chunk)", [last])
            // A damaged page may lead back to earlier rows.
            let rows = read.prefix { row in
                guard let sequence = SpoolRow.integer(row[0]), sequence > last, sequence < 1 << 56 else { return false }
                last = sequence
                return true
            }
            try self.target.write { db in
                for row in rows where try !take(&self, row, db) { self.unreadable += 1 }
            }
            self.lastSequence = max(self.lastSequence, last)
            if isWhole, rows.count == read.count {
                guard read.count == Self.chunk else { return }
            } else {
                guard let next = self.next(table, after: last) else { return }
                last = next - 1
            }
        }
    }

    private enum Probe {
        case row(Int64)
        case end
        case damaged
    }

    private func probe(_ table: String, after sequence: Int64) -> Probe {
        let (rows, isWhole) = self.read(
            "SELECT * FROM \(table) WHERE sequence > ? ORDER BY sequence LIMIT 1", [sequence])
        guard isWhole else { return .damaged }
        guard let row = rows.first else { return .end }
        guard let found = SpoolRow.integer(row["sequence"]), found > sequence else { return .damaged }
        return .row(found)
    }

    /// Returns the sequence of the first readable row behind the damage that begins after this sequence: an exponential
    /// search finds a readable place, and a binary search the first one.
    private func next(_ table: String, after sequence: Int64) -> Int64? {
        var step: Int64 = 1
        var found = Probe.damaged
        while step < 1 << 55 {
            found = self.probe(table, after: sequence + step)
            guard case .damaged = found else { break }
            step *= 2
        }
        if case .damaged = found { return nil }
        var (bad, good) = (sequence + step / 2, sequence + step)
        while good - bad > 1 {
            let middle = bad + (good - bad) / 2
            let probe = self.probe(table, after: middle)
            if case .damaged = probe {
                bad = middle
            } else {
                (good, found) = (middle, probe)
            }
        }
        guard case .row(let next) = found else { return nil }
        return next
    }

    /// Reads rows.
    ///
    /// - Returns: the rows up to the first that cannot be read, and whether they are all.
    private func read(_ sql: String, _ arguments: StatementArguments) -> (rows: [Row], isWhole: Bool) {
        guard let source else { return ([], true) }
        var rows: [Row] = []
        do {
            try source.read { db in
                let cursor = try Row.fetchCursor(db, sql: sql, arguments: arguments)
                while let row = try cursor.next() { rows.append(row.copy()) }
            }
            return (rows, true)
        } catch {
            return (rows, false)
        }
    }
}
