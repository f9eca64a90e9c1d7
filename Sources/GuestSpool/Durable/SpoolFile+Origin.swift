import FaultPoints
import GRDB
import Notifications
import SecureFiles

extension SpoolFile {
    /// What became of a spool when it was opened.
    struct Takeover: Sendable {
        /// Operations that were running when the last agent ended.
        var operations = 0
        /// How many of them were set aside.
        var setAside = 0
        /// Why they were set aside; nil when they wait as interrupted.
        var reason: String?
        /// Later outcomes are this agent's.
        var lastSequence: Int64 = 0
        /// Whose the spool is, as long as the disk does not take it.
        var unrecordedOrigin: SpoolOrigin?
        /// Whether the log may hold less on the disk than the system shows.
        var isInDoubt = false
    }

    /// Takes over what the last agent left, which was this machine's unless the spool is a copy, and records whose the spool is
    /// now.
    func takeOver(_ machine: GuestMachine) throws -> Takeover {
        let made = try self.directory.openForWriting().made(SpoolDirectory.file)
        let recorded = try self.database.read { try SpoolOrigin($0) }
        let reason = recorded?.copyReason(on: machine, fileMade: made)
        var takeover = Takeover(reason: reason)
        if let doubt = self.inheritedDoubt {
            // What a disk that fails does not take could be lost with the log: after a power cut an operation would be reported once
            // more, as interrupted at another time.
            if SpoolFailure.leavesDoubt(doubt), try self.database.read({ try Self.hasRunning($0) }) { throw doubt }
            takeover.isInDoubt = true
        }
        // Before the origin is recorded: a process that ends in between leaves a copy that is still known as one.
        (takeover.operations, takeover.setAside) = try self.interruptRunning(
            settingAside: reason.map {
                "\(SpoolSchema.copiedReason)\($0): the operation may have ended, and been reported, under this message id. Retry it only if "
                    + "it has not."
            })
        let origin = SpoolOrigin(
            guest: recorded?.guest, machine: machine, fileMade: made, isBeingClaimed: recorded?.isBeingClaimed ?? false)
        do {
            if origin != recorded {
                if takeover.isInDoubt {
                    takeover.unrecordedOrigin = origin
                } else {
                    try self.database.writeWithoutTransaction { try Self.record(origin, $0) }
                }
            }
        } catch  where SpoolFailure(error) != .damage {
            // A disk that is full must not keep from delivery what makes room on it. No operation begins before it is recorded.
            takeover.unrecordedOrigin = origin
            if SpoolFailure.leavesDoubt(error) {
                takeover.isInDoubt = true
                LogDoubt.set(true, self.directory)
            }
        }
        takeover.lastSequence = try self.database.writeWithoutTransaction { try Self.lastSequence($0) }
        return takeover
    }

    private static func hasRunning(_ db: Database) throws -> Bool {
        try Bool.fetchOne(db, sql: "SELECT EXISTS (SELECT 1 FROM running)") ?? false
    }

    /// The last sequence that was used.
    static func lastSequence(_ db: Database) throws -> Int64 {
        try Int64.fetchOne(db, sql: "SELECT seq FROM sqlite_sequence WHERE name = 'waiting'") ?? 0
    }

    /// Records whose the spool is; on the disk when it returns.
    static func record(_ origin: SpoolOrigin, _ db: Database) throws {
        try db.execute(sql: "PRAGMA synchronous = FULL")
        try db.inTransaction(.immediate) {
            try origin.save(db)
            return .commit
        }
    }
}

// What another guest left in the spool is set aside in transactions of a bounded size. The origin names the other guest until the
// last of them is committed, so that the next agent continues after a crash in between. It says as well that the spool is being
// claimed, until nothing is left to do: nothing that was set aside is retried meanwhile.
extension SpoolFile {
    /// Records that the spool is being claimed.
    ///
    /// - Returns: the last sequence that was used: no outcome that was set aside by then is put behind it any more.
    static func beginClaim(_ origin: SpoolOrigin, _ db: Database) throws -> Int64 {
        var claimed = origin
        claimed.isBeingClaimed = true
        try Self.record(claimed, db)
        return try Self.lastSequence(db)
    }

    /// Records whose the spool is, and makes outcomes that were set aside as another guest's of one of these names this guest's own,
    /// so that they can be retried: another's certificate was in use by mistake.
    ///
    /// - Parameter sequence: only outcomes behind it are looked at.
    /// - Returns: the last sequence that was looked at; nil when there are no more, and the claim has ended.
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

    /// Rows and bytes in one transaction; a single row may be longer.
    private static let claimBatch = (count: 500, bytes: Int64(4 << 20))

    /// Marks outcomes that the other guest's conductor refused as the other guest's.
    ///
    /// - Parameters:
    ///   - sequence: only later ones.
    ///   - last: none after this.
    /// - Returns: the last sequence that was looked at; nil when there are no more.
    static func markSetAside(
        of guest: String, after sequence: Int64, upTo last: Int64, _ db: Database
    ) throws -> Int64? {
        // All of them, so that rows which are marked already cost their turns as well.
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

    /// Sets aside the oldest outcomes of the other guest that wait.
    ///
    /// - Parameter last: none after this.
    /// - Returns: how many; zero when there are no more.
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
                    "Not sent any more, and perhaps sent before: \(reason).", NotificationTimestamp.now().description,
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

    /// The sequences of the next rows that go into one transaction.
    private static func batch(_ rows: String, _ arguments: StatementArguments, _ db: Database) throws -> [Int64] {
        var batch: [Int64] = []
        var bytes: Int64 = 0
        let found = try Row.fetchAll(
            db, sql: "SELECT sequence, length(report) FROM \(rows) ORDER BY sequence LIMIT \(Self.claimBatch.count)",
            arguments: arguments)
        // Both are integers, whatever the row holds: its key, and a length.
        for row in found where bytes < Self.claimBatch.bytes {
            batch.append(row[0] as Int64)
            bytes += row[1] as Int64? ?? 0
        }
        return batch
    }
}
