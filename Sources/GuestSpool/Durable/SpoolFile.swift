import Foundation
import GRDB
import Glibc
import SecureFiles

/// A spool's SQLite file, open: looked over and brought to the newest version.
final class SpoolFile: Sendable {
    let directory: SpoolDirectory
    let database: DatabasePool
    /// Why it is not known whether the disk has what another agent left in the log; nil when it has.
    let inheritedDoubt: (any Error)?
    /// Rows that are looked at when the file is opened, at either end of what waits: the time it takes to open a spool
    /// must not grow with what lies in it.
    private static let sample = 8

    /// Opens the file, or makes it.
    ///
    /// - Throws: damage as an error of SQLite (``SpoolFailure``), and anything else as an ``OutboxError``.
    init(_ directory: SpoolDirectory) throws {
        self.directory = directory
        let opened = try directory.openForWriting()
        do throws(FileError) {
            try Self.makeFile(opened)
        } catch {
            throw directory.error(error)
        }
        try Self.look(directory, opened)
        let hasLog = try opened.size(of: "\(SpoolDirectory.file)-wal") ?? 0 > 0
        let database = try DatabasePool(path: directory.file, configuration: Self.settings())
        self.database = database
        if hasLog {
            self.inheritedDoubt = try Self.settleInheritedLog(database, directory)
        } else {
            // A log is removed only once the database has all of it.
            LogDoubt.set(false, directory)
            self.inheritedDoubt = nil
        }
        // What follows a log that the disk does not take is as good as not written.
        if let doubt = self.inheritedDoubt, SpoolFailure.leavesDoubt(doubt),
            try !database.read({ try SpoolSchema.migrator.hasCompletedMigrations($0) })
        {
            throw doubt
        }
        try SpoolSchema.migrator.migrate(self.database)
        try self.database.read { db in
            _ = try SpoolTally(db)
            for order in ["ASC", "DESC"] {
                // Rows are read, and not understood: one that makes no sense concerns nobody else.
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
        // A context may hold a token, and a removed outcome must not stay readable in the file's free room. Debian's SQLite is
        // built so; others need not be.
        try db.execute(sql: "PRAGMA secure_delete = ON")
        // The writer carries the log over itself: SQLite would do it after a commit, and pass over a disk that fails.
        try db.execute(sql: "PRAGMA wal_autocheckpoint = 0")
        // Only before the first table is made; a backlog's room can be given back to the disk by it.
        if try Int.fetchOne(db, sql: "PRAGMA page_count") == 0 {
            try db.execute(sql: "PRAGMA auto_vacuum = INCREMENTAL")
        }
    }

    /// SQLite would let others read what it makes; what it puts beside the file has the file's permissions.
    private static func makeFile(_ opened: CheckedDirectory) throws(FileError) {
        let isNew = try opened.status(of: SpoolDirectory.file) == nil
        _ = try opened.openForChanging(SpoolDirectory.file)
        if isNew { try opened.sync() }
    }

    /// Looks at what is there without changing it, since it may not be ours to change.
    private static func look(_ directory: SpoolDirectory, _ opened: CheckedDirectory) throws {
        try Self.checkLog(opened)
        guard try opened.size(of: SpoolDirectory.file) ?? 0 > 0 else { return }
        var settings = GRDB.Configuration()
        // What a kill left half done when the file was made, SQLite must undo before it can be read.
        settings.readonly = try opened.size(of: "\(SpoolDirectory.file)-journal") ?? 0 == 0
        settings.busyMode = .timeout(5)
        let database = try DatabaseQueue(path: directory.file, configuration: settings)
        try database.read { db in try SpoolSchema.check(db, directory) }
        try database.close()
    }

    /// SQLite ignores a write-ahead log whose beginning makes no sense, and with it outcomes, without a word. One that
    /// begins with zeros was never written to the disk: nothing in it was promised.
    private static func checkLog(_ opened: CheckedDirectory) throws {
        guard let log = try opened.openForReading("\(SpoolDirectory.file)-wal") else { return }
        var header = [UInt8](repeating: 0, count: 32)
        let count = unsafe pread(log.descriptor, &header, header.count, 0)
        guard count == header.count, header.contains(where: { $0 != 0 }) else { return }
        // https://www.sqlite.org/fileformat2.html#the_write_ahead_log: the magic number's last bit tells the byte order of checksums.
        guard header.starts(with: [0x37, 0x7f, 0x06]), header[3] & 0xfe == 0x82 else {
            throw SpoolFailure.damage("the write-ahead log begins with something else")
        }
    }

    /// Leaves one file without a log, if the disk lets it.
    func close() throws {
        // Of SQLite's connections the last one carries the log over, which only the writer can do.
        self.database.releaseMemory()
        try self.database.close()
    }
}
