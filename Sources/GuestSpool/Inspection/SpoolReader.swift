// SPDX-License-Identifier: Apache-2.0

import Foundation
import GRDB
import SecureFiles

/// Reads a spool's file as it is, while an agent may use it, without a lock that could block an agent.
struct SpoolReader {
    /// The attributes of a file that show whether another process wrote to it.
    private struct Signature: Equatable {
        var size: Int
        var modified: FileStatus.Moment
        var inode: UInt64

        init(_ status: FileStatus) {
            self.size = status.size
            self.modified = status.modified
            self.inode = status.inode
        }
    }

    let directory: SpoolDirectory

    /// Runs the body in one read transaction.
    ///
    /// - Parameter body: the closure that reads; it may run more than once. It gets nil when there are no tables yet:
    ///   the agent that created the file ended before it created them.
    /// - Throws: ``OutboxError`` when there is no spool, or its file cannot be read.
    func read<Success>(_ body: (Database?) throws -> Success) throws -> Success {
        let opened = try self.directory.openForReading()
        do {
            return try self.readWithoutLog(opened, body)
                ?? self.read(URL(fileURLWithPath: self.directory.file).path, body)
        } catch let error as DatabaseError {
            throw Self.error(error, self.directory)
        } catch let error as FileError {
            throw self.directory.error(error)
        }
    }

    /// Reads the file without its write-ahead log. If the log is empty, no process is writing, and SQLite can read the
    /// file without creating a log.
    ///
    /// - Returns: nil when another process may have written in the meantime.
    private func readWithoutLog<Success>(
        _ opened: CheckedDirectory, _ body: (Database?) throws -> Success
    ) throws -> Success? {
        let log = SpoolDirectory.file + "-wal"
        func signature() throws(FileError) -> Signature? {
            try opened.status(of: SpoolDirectory.file).map(Signature.init)
        }
        guard let before = try signature(), try opened.size(of: log) ?? 0 == 0,
            let path = URL(fileURLWithPath: self.directory.file).path.addingPercentEncoding(
                withAllowedCharacters: .urlPathAllowed.subtracting(CharacterSet(charactersIn: "?#%")))
        else { return nil }
        let result = Result { try self.read("file:\(path)?immutable=1", body) }
        guard try opened.size(of: log) ?? 0 == 0, try signature() == before else { return nil }
        if case .failure(let error as DatabaseError) = result, error.resultCode == .SQLITE_CANTOPEN { return nil }
        return try result.get()
    }

    private func read<Success>(_ name: String, _ body: (Database?) throws -> Success) throws -> Success {
        var settings = GRDB.Configuration()
        settings.label = "guest-spool-inspection"
        settings.readonly = true
        settings.busyMode = .timeout(5)
        let database = try DatabaseQueue(path: name, configuration: settings)
        defer { try? database.close() }
        return try database.read { db in
            if try db.tableExists("tally") {
                for table in ["running", "waiting", "set_aside"] where try !db.tableExists(table) {
                    throw self.isNoSpool
                }
                return try body(db)
            }
            let others = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name <> 'grdb_migrations'"
            guard try Int.fetchOne(db, sql: others) == 0 else { throw self.isNoSpool }
            return try body(nil)
        }
    }

    private var isNoSpool: OutboxError {
        OutboxError(.noSpool, "\(self.directory.path) holds no spool: its spool.sqlite is another program's database.")
    }

    /// Returns the error for a spool that cannot be read or changed.
    static func error(_ error: any Error, _ directory: SpoolDirectory) -> OutboxError {
        guard let error = error as? DatabaseError else { return SpoolFailure.error(error, directory) }
        switch error.resultCode {
        case .SQLITE_NOTADB, .SQLITE_CORRUPT:
            return OutboxError(
                .failed,
                "\(directory.file) is damaged (SQLite \(error.extendedResultCode.rawValue)); copy it, then run a flush, which repairs it."
            )
        case .SQLITE_CANTOPEN, .SQLITE_PERM, .SQLITE_AUTH, .SQLITE_READONLY:
            return OutboxError(
                .notWritable,
                "The spool \(directory.path) cannot be opened; give this user read and write access to it.")
        case .SQLITE_BUSY:
            return OutboxError(.failed, "The spool \(directory.path) is busy; try again.")
        default: return SpoolFailure.error(error, directory)
        }
    }
}
