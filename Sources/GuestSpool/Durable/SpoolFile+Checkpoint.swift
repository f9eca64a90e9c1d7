// SPDX-License-Identifier: Apache-2.0

import GRDB
import SecureFiles

extension SpoolFile {
    /// The number of bytes after which the write-ahead log is checkpointed. SQLite's automatic checkpoint would run
    /// every 1000 pages.
    static let checkpointThreshold = 4 << 20

    /// Checkpoints the part of the log that no reader still needs. This method never waits for another connection.
    ///
    /// - Throws: the disk's error; the disk may then have less of the log than the system shows.
    static func checkpointLog(_ db: Database) throws {
        do {
            try db.checkpoint(.passive)
        } catch let error as DatabaseError where error.resultCode == .SQLITE_BUSY {
            // Another process is making a checkpoint.
        }
    }

    /// Checkpoints the log that another agent left, before anything is added to it. The checkpoint writes the log's
    /// content again, so the result of that agent's last `fsync` does not matter. While another process reads the log,
    /// the log stays and is synced instead. That is enough unless a write or an `fsync` of the log failed, which the
    /// agent has marked (``LogFailureMark``). This method waits for no reader.
    ///
    /// - Returns: nil when the disk has all of the log; otherwise the disk's error, or SQLite's busy error when another
    ///   process reads the log and it is marked or cannot be synced. Then the writer makes the checkpoint before its
    ///   first commit.
    /// - Throws: damage only.
    static func checkpointInheritedLog(_ database: DatabasePool, _ directory: SpoolDirectory) throws -> (any Error)? {
        do {
            try database.writeWithoutTransaction { db in
                try db.execute(sql: "PRAGMA busy_timeout = 0")
                defer { try? db.execute(sql: "PRAGMA busy_timeout = 5000") }
                try db.checkpoint(.truncate)
            }
            LogFailureMark.set(false, directory)
            return nil
        } catch let error as DatabaseError where error.resultCode == .SQLITE_BUSY {
            return Self.syncReadLog(directory) ? nil : error
        } catch  where SpoolFailure(error) != .damage {
            if SpoolFailure.isFailedWrite(error) { LogFailureMark.set(true, directory) }
            return error
        }
    }

    /// Syncs a log that another process reads.
    ///
    /// - Returns: whether the disk has all of the log.
    private static func syncReadLog(_ directory: SpoolDirectory) -> Bool {
        guard let opened = try? directory.openForWriting(),
            let lock = try? opened.openForChanging(SpoolDirectory.lockFile), !LogFailureMark.isMarked(lock),
            let log = try? opened.openForChanging("\(SpoolDirectory.file)-wal")
        else { return false }
        do {
            try log.sync()
            return true
        } catch {
            LogFailureMark.set(true, directory)
            return false
        }
    }
}
