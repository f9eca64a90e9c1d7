import FaultPoints
import GRDB
import Notifications
import SecureFiles

extension SpoolFile {
    /// What became of a spool when it was opened.
    struct Takeover: Sendable {
        /// Operations that were running when the last agent ended.
        var operations = 0
        /// Why they were set aside; nil when they wait as interrupted.
        var reason: String?
        /// Later outcomes are this agent's.
        var lastSequence: Int64 = 0
    }

    /// Takes over what the last agent left, which was this machine's unless the spool is a copy, and records whose the spool is
    /// now.
    func takeOver(_ machine: GuestMachine) throws -> Takeover {
        let opened = try self.directory.openForWriting()
        let made: String?
        do throws(FileError) {
            made = try opened.made(SpoolDirectory.file)
        } catch {
            throw self.directory.error(error)
        }
        let recorded = try self.database.read { try SpoolOrigin($0) }
        let reason = recorded?.copyReason(on: machine, fileMade: made)
        var takeover = Takeover(reason: reason)
        // Before the origin is recorded: a process that ends in between leaves a copy that is still known as one.
        takeover.operations = try self.interruptRunning(
            settingAside: reason.map {
                "Interrupted, and \($0): the operation may have ended, and been reported, under this message id. Retry it only if "
                    + "it has not."
            })
        let origin = SpoolOrigin(guest: recorded?.guest, machine: machine, fileMade: made)
        try self.database.writeWithoutTransaction { db in
            if origin != recorded { try Self.record(origin, db) }
            let sequence = "SELECT seq FROM sqlite_sequence WHERE name = 'waiting'"
            takeover.lastSequence = try Int64.fetchOne(db, sql: sequence) ?? 0
        }
        return takeover
    }

    /// Records that the spool is this guest's, and sets aside what it holds of another's.
    ///
    /// - Parameters:
    ///   - names: what the guest's certificate calls it.
    ///   - sequence: later outcomes are its own.
    /// - Returns: how many were set aside now, and why; nil when the spool was this guest's.
    static func claim(
        _ names: [String], upTo sequence: Int64, _ db: Database
    ) throws -> (count: Int, reason: String)? {
        guard let name = names.first else { return nil }
        var origin = try SpoolOrigin(db) ?? SpoolOrigin()
        guard let stranger = origin.guest, let reason = origin.strangerReason(names) else {
            if origin.guest != name {
                origin.guest = name
                try Self.record(origin, db)
            }
            return nil
        }
        origin.guest = name
        var count = 0
        try db.execute(sql: "PRAGMA synchronous = FULL")
        try db.inTransaction(.immediate) {
            count = try Self.setAsideStrangers(stranger, reason, upTo: sequence, db)
            try origin.save(db)
            return .commit
        }
        return (count, reason)
    }

    /// A disk that is full must not keep from delivery what makes room on it: the next agent records it.
    private static func record(_ origin: SpoolOrigin, _ db: Database) throws {
        do {
            try db.inTransaction(.immediate) {
                try origin.save(db)
                return .commit
            }
        } catch  where SpoolFailure(error) != .damage {}
    }

    private static func setAsideStrangers(
        _ stranger: String, _ reason: String, upTo sequence: Int64, _ db: Database
    ) throws -> Int {
        var tally = try SpoolTally(db)
        // What the other guest's conductor had refused is the other guest's as well.
        try db.execute(
            sql: "UPDATE set_aside SET guest = ? WHERE guest IS NULL AND sequence <= ?",
            arguments: [stranger, sequence])
        try db.execute(
            sql: """
                INSERT INTO set_aside (sequence, message_id, phase, report, reason, set_aside_at, guest)
                SELECT sequence, message_id, phase, report, ?, ?, ? FROM waiting WHERE sequence <= ?
                """,
            arguments: [
                "Not sent: \(reason).", NotificationTimestamp.now().description, stranger, sequence,
            ])
        let count = db.changesCount
        try db.execute(sql: "DELETE FROM waiting WHERE sequence <= ?", arguments: [sequence])
        tally.counts.waiting -= count
        tally.counts.setAside += count
        try tally.save(db)
        return count
    }
}
