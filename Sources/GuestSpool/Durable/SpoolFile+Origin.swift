// SPDX-License-Identifier: Apache-2.0

import FaultPoints
import GRDB
import Notifications
import SecureFiles

extension SpoolFile {
    /// The result of taking over a spool when it is opened.
    struct Takeover: Sendable {
        /// The number of operations that were running when the last agent ended.
        var operations = 0
        /// The number of those operations that were set aside.
        var setAside = 0
        /// Why all of them were set aside; nil when they wait as interrupted.
        var reason: String?
        /// The last sequence that was used at the end of the takeover; later outcomes are this agent's.
        var lastSequence: Int64 = 0
        /// The origin that is still to be recorded, because the disk has not stored it; nil when it is recorded.
        var unrecordedOrigin: SpoolOrigin?
        /// Whether the disk may have less of the log than the system shows.
        var isLogSuspect = false
    }

    /// Takes over the operations that the last agent left running, and records the spool's origin. The last agent ran
    /// on this machine, unless the spool is a copy.
    func takeOver(_ machine: GuestMachine) throws -> Takeover {
        let made = try self.directory.openForWriting().made(SpoolDirectory.file)
        let recorded = try self.database.read { try SpoolOrigin($0) }
        let reason = recorded?.copyReason(on: machine, fileMade: made)
        var takeover = Takeover(reason: reason)
        if let logError = self.inheritedLogError {
            // A failing disk may not store these changes, and they could be lost with the log. After a power cut an
            // operation would then be reported again, as interrupted at another time.
            if SpoolFailure.isFailedWrite(logError), try self.database.read({ try Self.hasRunning($0) }) {
                throw logError
            }
            takeover.isLogSuspect = true
        }
        // This runs before the origin is recorded: if the process ends in between, a copy is still recognized as one.
        (takeover.operations, takeover.setAside) = try self.interruptRunning(
            settingAside: reason.map {
                "\(SpoolSchema.copiedReason)\($0): the operation may have ended, and been reported, under this message id. Retry it only if "
                    + "it has not."
            })
        let origin = SpoolOrigin(
            guest: recorded?.guest, machine: machine, fileMade: made, isBeingClaimed: recorded?.isBeingClaimed ?? false)
        do {
            if origin != recorded {
                if takeover.isLogSuspect {
                    takeover.unrecordedOrigin = origin
                } else {
                    try self.database.writeWithoutTransaction { try Self.record(origin, $0) }
                }
            }
        } catch  where SpoolFailure(error) != .damage {
            // A full disk must not prevent delivery, which frees space on it. No operation begins before the origin is
            // recorded.
            takeover.unrecordedOrigin = origin
            if SpoolFailure.isFailedWrite(error) {
                takeover.isLogSuspect = true
                LogFailureMark.set(true, self.directory)
            }
        }
        takeover.lastSequence = try self.database.writeWithoutTransaction { try Self.lastSequence($0) }
        return takeover
    }

    private static func hasRunning(_ db: Database) throws -> Bool {
        try Bool.fetchOne(db, sql: "SELECT EXISTS (SELECT 1 FROM running)") ?? false
    }

    /// Returns the last sequence that was used.
    static func lastSequence(_ db: Database) throws -> Int64 {
        try Int64.fetchOne(db, sql: "SELECT seq FROM sqlite_sequence WHERE name = 'waiting'") ?? 0
    }

    /// Records the spool's origin. The record is on the disk when this method returns.
    static func record(_ origin: SpoolOrigin, _ db: Database) throws {
        try db.execute(sql: "PRAGMA synchronous = FULL")
        try db.inTransaction(.immediate) {
            try origin.save(db)
            return .commit
        }
    }
}

// Outcomes that another guest left in the spool are set aside in transactions of a bounded size. The origin names the
// other guest until the last of them is committed, so that after a crash in between the next agent continues. The
// origin also says that the spool is being claimed, until nothing is left to do: during that time no outcome that was
// set aside is retried.
extension SpoolFile {
    /// Records that the spool is being claimed.
    ///
    /// - Returns: the last sequence that was used. No outcome that was set aside by then gets a later sequence, because
    ///   a claim blocks retries.
    static func beginClaim(_ origin: SpoolOrigin, _ db: Database) throws -> Int64 {
        var claimed = origin
        claimed.isBeingClaimed = true
        try Self.record(claimed, db)
        return try Self.lastSequence(db)
    }

    /// Records the spool's origin. Also removes the mark from outcomes that are marked as those of a guest with one of
    /// these names, so that this guest can retry them: another guest's certificate was in use by mistake.
    ///
    /// - Parameter sequence: only outcomes with a later sequence are examined.
    /// - Returns: the last sequence that was examined; nil when there are no more, and the claim has ended.
    static func record(
        _ origin: SpoolOrigin, own names: [String], after sequence: Int64, _ db: Database
    ) throws -> Int64? {
        let end = try Self.batch("set_aside WHERE sequence > ?", [sequence], db).last
        var recorded = origin
        recorded.isBeingClaimed =
            try end.map { end in
                try Bool.fetchOne(
                    db, sql: "SELECT EXISTS (SELECT 1 FROM set_aside WHERE sequence > ?)", arguments: [end]) ?? false
            } ?? false
        try db.execute(sql: "PRAGMA synchronous = FULL")
        try db.inTransaction(.immediate) {
            try recorded.save(db)
            for name in names {
                try db.execute(
                    sql: "UPDATE set_aside SET guest = NULL WHERE guest = ? AND sequence > ? AND sequence <= ?",
                    arguments: [name, sequence, end ?? sequence])
            }
            return .commit
        }
        return recorded.isBeingClaimed ? end : nil
    }

    /// The maximum number of rows and of bytes in one transaction; a single row may be larger.
    private static let claimBatch = (count: 500, bytes: Int64(4 << 20))

    /// Marks outcomes that were set aside before the claim as belonging to the other guest.
    ///
    /// - Parameters:
    ///   - sequence: only outcomes with a later sequence.
    ///   - last: no outcome with a later sequence.
    /// - Returns: the last sequence that was examined; nil when there are no more.
    static func markSetAside(
        of guest: String, after sequence: Int64, upTo last: Int64, _ db: Database
    ) throws -> Int64? {
        // The batch contains all rows, so that rows which are already marked count towards its size too.
        let batch = try Self.batch("set_aside WHERE sequence > ? AND sequence <= ?", [sequence, last], db)
        guard let end = batch.last else { return nil }
        try db.execute(sql: "PRAGMA synchronous = FULL")
        try db.inTransaction(.immediate) {
            try db.execute(
                sql: "UPDATE set_aside SET guest = ? WHERE guest IS NULL AND sequence > ? AND sequence <= ?",
                arguments: [guest, sequence, end])
            return .commit
        }
        return end
    }

    /// Sets aside the oldest waiting outcomes of the other guest.
    ///
    /// - Parameter last: no outcome with a later sequence.
    /// - Returns: the number of outcomes; zero when there are no more.
    static func setAside(
        of guest: String, _ reason: String, upTo last: Int64, _ db: Database
    ) throws -> Int {
        guard let end = try Self.batch("waiting WHERE sequence <= ?", [last], db).last else { return 0 }
        var count = 0
        try db.execute(sql: "PRAGMA synchronous = FULL")
        try db.inTransaction(.immediate) {
            var tally = try SpoolTally(db)
            try db.execute(
                sql: """
                    INSERT INTO set_aside (sequence, message_id, phase, report, reason, set_aside_at, guest)
                    SELECT sequence, message_id, phase, report, ?, ?, ? FROM waiting WHERE sequence <= ?
                    """,
                arguments: [
                    "No longer sent, and perhaps sent before: \(reason).", NotificationTimestamp.now().description,
                    guest, end,
                ])
            count = db.changesCount
            try db.execute(sql: "DELETE FROM waiting WHERE sequence <= ?", arguments: [end])
            tally.counts.waiting -= count
            tally.counts.setAside += count
            try tally.save(db)
            return .commit
        }
        return count
    }

    /// Returns the sequences of the next rows that go into one transaction.
    private static func batch(_ rows: String, _ arguments: StatementArguments, _ db: Database) throws -> [Int64] {
        var batch: [Int64] = []
        var bytes: Int64 = 0
        let found = try Row.fetchAll(
            db, sql: "SELECT sequence, length(report) FROM \(rows) ORDER BY sequence LIMIT \(Self.claimBatch.count)",
            arguments: arguments)
        // Both values are integers even in a damaged row: its key, and a length.
        for row in found where bytes < Self.claimBatch.bytes {
            batch.append(row[0] as Int64)
            bytes += row[1] as Int64? ?? 0
        }
        return batch
    }
}
