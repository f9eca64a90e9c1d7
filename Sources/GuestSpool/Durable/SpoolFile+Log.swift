import GRDB
import SecureFiles

extension SpoolFile {
    /// The write-ahead log is carried over into the database when it has grown by so many bytes: what SQLite would do
    /// after each 1000 pages.
    static let logStep = 4 << 20

    /// Carries over what no reader still needs where it is. Waits for nobody.
    ///
    /// - Throws: what the disk says; the log may then be less whole than the system tells.
    static func carryOverLog(_ db: Database) throws {
        do {
            try db.checkpoint(.passive)
        } catch let error as DatabaseError where error.resultCode == .SQLITE_BUSY {
            // Another process does it.
        }
    }

    /// Brings what another agent left in the log to the disk, before anything is added to it. A checkpoint writes it again, whatever
    /// became of that agent's last `fsync`. While another process reads the log it stays, and is synced: that is enough unless a write
    /// or an `fsync` of it failed, which the agent has marked (``LogDoubt``). Waits for no reader.
    ///
    /// - Returns: why the disk does not take it, or that it is marked and read; then the writer does it before its first commit.
    /// - Throws: damage only.
    static func settleInheritedLog(_ database: DatabasePool, _ directory: SpoolDirectory) throws -> (any Error)? {
        do {
            try database.writeWithoutTransaction { db in
                try db.execute(sql: "PRAGMA busy_timeout = 0")
                defer { try? db.execute(sql: "PRAGMA busy_timeout = 5000") }
                try db.checkpoint(.truncate)
            }
            LogDoubt.set(false, directory)
            return nil
        } catch let error as DatabaseError where error.resultCode == .SQLITE_BUSY {
            return Self.syncReadLog(directory) ? nil : error
        } catch  where SpoolFailure(error) != .damage {
            if SpoolFailure.leavesDoubt(error) { LogDoubt.set(true, directory) }
            return error
        }
    }

    /// - Returns: whether the disk has all of the log.
    private static func syncReadLog(_ directory: SpoolDirectory) -> Bool {
        guard let opened = try? directory.openForWriting(),
            let lock = try? opened.openForChanging(SpoolDirectory.lockFile), !LogDoubt.isMarked(lock),
            let log = try? opened.openForChanging("\(SpoolDirectory.file)-wal")
        else { return false }
        do {
            try log.sync()
            return true
        } catch {
            LogDoubt.set(true, directory)
            return false
        }
    }
}
