// SPDX-License-Identifier: Apache-2.0

import Foundation
import GRDB
import Glibc
import SecureFiles

/// A spool's open SQLite file, checked and migrated to the newest version.
final class SpoolFile: Sendable {
    let directory: SpoolDirectory
    let database: DatabasePool
    /// Why the disk may not have all of the log that another agent left; nil when it has.
    let inheritedLogError: (any Error)?
    /// The number of rows that are read when the file is opened: at each end of the waiting outcomes, and of the other
    /// tables. The time to open a spool must not grow with the number of its rows.
    private static let sample = 8

    /// Opens the file, or creates it.
    ///
    /// - Throws: damage as a SQLite error (``SpoolFailure``), and any other failure as a SQLite error or an
    ///   ``OutboxError``.
    init(_ directory: SpoolDirectory) throws {
        self.directory = directory
        let opened = try directory.openForWriting()
        do throws(FileError) {
            try Self.makeFile(opened)
        } catch {
            throw directory.error(error)
        }
        try Self.check(directory, opened)
        let hasLog = try opened.size(of: "\(SpoolDirectory.file)-wal") ?? 0 > 0
        let database = try DatabasePool(path: directory.file, configuration: Self.settings())
        self.database = database
        if hasLog {
            self.inheritedLogError = try Self.checkpointInheritedLog(database, directory)
        } else {
            // SQLite removes a log only when the database has all of it.
            LogFailureMark.set(false, directory)
            self.inheritedLogError = nil
        }
        // If the disk does not store the log, it may not store what follows in the log either.
        if let logError = self.inheritedLogError, SpoolFailure.isFailedWrite(logError),
            try !database.read({ try SpoolSchema.migrator.hasCompletedMigrations($0) })
        {
            throw logError
        }
        try SpoolSchema.migrator.migrate(self.database)
        try self.database.read { db in
            _ = try SpoolTally(db)
            for order in ["ASC", "DESC"] {
                // The rows are read and not decoded: a row that makes no sense does not affect the others.
                _ = try Row.fetchAll(db, sql: "SELECT * FROM waiting ORDER BY sequence \(order) LIMIT \(Self.sample)")
            }
            _ = try Row.fetchAll(db, sql: "SELECT * FROM running LIMIT \(Self.sample)")
            _ = try Row.fetchAll(db, sql: "SELECT * FROM set_aside LIMIT \(Self.sample)")
        }
    }

    static func settings() -> GRDB.Configuration {
        var settings = GRDB.Configuration()
        settings.label = "guest-spool"
        settings.busyMode = .timeout(5)
        settings.maximumReaderCount = 1
        settings.foreignKeysEnabled = false
        settings.prepareDatabase { try Self.prepare($0) }
        return settings
    }

    /// Sets up a connection.
    static func prepare(_ db: Database) throws {
        guard !db.configuration.readonly else { return }
        try db.execute(sql: "PRAGMA journal_size_limit = 1048576")
        // A context may contain a token, and a removed outcome must not stay readable in the file's free pages. This is
        // the default in Debian's SQLite, but not in every build.
        try db.execute(sql: "PRAGMA secure_delete = ON")
        // The writer makes the checkpoints: SQLite would make them after a commit, and would ignore a disk that fails.
        try db.execute(sql: "PRAGMA wal_autocheckpoint = 0")
        // This takes effect only before the first table is created. It allows the file to shrink after a backlog.
        if try Int.fetchOne(db, sql: "PRAGMA page_count") == 0 {
            try db.execute(sql: "PRAGMA auto_vacuum = INCREMENTAL")
        }
    }

    /// Creates the file with permissions for this user only. SQLite would let others read the file; the files that it
    /// creates next to it get the same permissions.
    private static func makeFile(_ opened: CheckedDirectory) throws(FileError) {
        let isNew = try opened.status(of: SpoolDirectory.file) == nil
        _ = try opened.openForChanging(SpoolDirectory.file)
        if isNew { try opened.sync() }
    }

    /// Checks the existing file without changing it, because it may belong to another program.
    private static func check(_ directory: SpoolDirectory, _ opened: CheckedDirectory) throws {
        try Self.checkLog(opened)
        guard try opened.size(of: SpoolDirectory.file) ?? 0 > 0 else { return }
        var settings = GRDB.Configuration()
        // If a kill interrupted the creation of the file, SQLite must roll that back before the file can be read.
        settings.readonly = try opened.size(of: "\(SpoolDirectory.file)-journal") ?? 0 == 0
        settings.busyMode = .timeout(5)
        let database = try DatabaseQueue(path: directory.file, configuration: settings)
        try database.read { db in try SpoolSchema.check(db, directory) }
        try database.close()
    }

    /// Checks the header of the write-ahead log. SQLite silently ignores a log with an invalid header, and with it the
    /// outcomes in the log. A header of zeros was never written to the disk: nothing in that log was confirmed to a
    /// caller.
    private static func checkLog(_ opened: CheckedDirectory) throws {
        guard let log = try opened.openForReading("\(SpoolDirectory.file)-wal") else { return }
        var header = [UInt8](repeating: 0, count: 32)
        let count = unsafe pread(log.descriptor, &header, header.count, 0)
        guard count == header.count, header.contains(where: { $0 != 0 }) else { return }
        // https://www.sqlite.org/fileformat2.html#the_write_ahead_log: the magic number's last bit is the byte order of
        // checksums.
        guard header.starts(with: [0x37, 0x7f, 0x06]), header[3] & 0xfe == 0x82 else {
            throw SpoolFailure.damage("the write-ahead log has an invalid header")
        }
    }

    /// Closes the file, and leaves it without a log if the disk allows that.
    func close() throws {
        // SQLite checkpoints the log when its last connection closes, and only the writer can do that: readers close
        // first.
        self.database.releaseMemory()
        try self.database.close()
    }
}
