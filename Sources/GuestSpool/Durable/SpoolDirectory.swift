// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Glibc
import SecureFiles

/// A spool's directory and the names of the files in it.
struct SpoolDirectory: Sendable, Hashable {
    let path: String

    /// The database; SQLite puts `-wal` and `-shm` files next to it.
    static let file = "spool.sqlite"
    /// Suffixes of the files that SQLite may put next to a database. SQLite must never find one of them next to another
    /// database.
    static let companions = ["-journal", "-shm", "-wal"]
    /// The file that the agent which uses the spool locks.
    static let lockFile = "agent.lock"

    /// The database's path, for SQLite.
    var file: String { "\(self.path)/\(Self.file)" }
    /// The lock file's path.
    var lockFile: String { "\(self.path)/\(Self.lockFile)" }

    /// Creates the directory, for this user only. This method does not change the permissions of an existing directory,
    /// because they were chosen deliberately.
    ///
    /// - Throws: ``OutboxError`` that says why the directory cannot be created. Its parent must exist, so that a
    ///   mistyped path or a disk that is not mounted is noticed.
    func create() throws(OutboxError) {
        do throws(FileError) {
            guard try !CheckedDirectory.make(self.path) else { return }
        } catch {
            switch error.code {
            case ENOENT:
                throw OutboxError(
                    .notWritable,
                    "The spool's directory \(self.path) cannot be created: its parent is missing; create the parent.")
            default: throw self.error(error)
            }
        }
    }

    /// Opens the directory for an agent that creates and changes files in it.
    ///
    /// SQLite opens files by their paths, and opens the same files as this directory: in a directory that passes this
    /// check, no other user can replace a name, nor the name of one of its parents. The files that SQLite would open
    /// have been checked.
    ///
    /// If this user owns the directory and others can write to it, this method removes their write permission, provided
    /// that the directory has no sticky bit and contains only slots or a spool's files.
    ///
    /// - Throws: ``OutboxError`` for a directory that others can still write to, and when a link or a special file has
    ///   the name of one of the spool's files.
    func openForWriting() throws(OutboxError) -> CheckedDirectory {
        do throws(FileError) {
            let opened = try CheckedDirectory(self.path, for: .writing, isOwn: Self.isOwn)
            try self.checkFiles(opened)
            return opened
        } catch {
            throw self.error(error)
        }
    }

    /// Opens the directory, which may be another user's, for inspection.
    ///
    /// - Throws: ``OutboxError``; with ``OutboxError/Code/noSpool`` when there is no directory or no spool in it.
    func openForReading() throws(OutboxError) -> CheckedDirectory {
        let opened: CheckedDirectory
        let hasSpool: Bool
        do throws(FileError) {
            opened = try CheckedDirectory(self.path, for: .reading)
            try self.checkFiles(opened)
            hasSpool = try opened.status(of: Self.file) != nil
        } catch {
            switch error.kind {
            case .missing: throw OutboxError(.noSpool, "The directory \(self.path) does not exist; check the path.")
            case .wrongKind where error.path == self.path && error.code == ENOTDIR:
                throw OutboxError(.noSpool, "\(self.path) is not a directory; name a spool's directory.")
            case .wrongKind where error.path == self.file:
                throw OutboxError(.noSpool, "\(self.path) holds no spool: \(error)")
            case .forbidden: throw self.isForbidden(error)
            default: throw self.error(error)
            }
        }
        guard hasSpool else {
            // A repair that was interrupted can leave the spool without a database.
            if try self.isBeingRepaired(opened) { throw self.isBeingRepaired }
            throw OutboxError(.noSpool, "\(self.path) holds no spool: it has no file \(Self.file).")
        }
        return opened
    }

    /// Whether the spool was found damaged, so that the next opening repairs it.
    func isBeingRepaired(_ opened: CheckedDirectory) throws(OutboxError) -> Bool {
        do throws(FileError) {
            return try opened.status(of: Self.marker) != nil
        } catch {
            throw self.error(error)
        }
    }

    /// The error for callers that need the spool while it must be repaired, and do not open it as an agent does.
    var isBeingRepaired: OutboxError {
        OutboxError(
            .failed, "The spool \(self.path) is being repaired; try again once an agent or a flush has opened it.")
    }

    /// Whether this name and kind belong in a spool's directory, or in a directory of slots: a slot, or one of the
    /// spool's files.
    ///
    /// The directory `lost+found` is the file system's.
    private static func isOwn(_ name: String, _ status: FileStatus) -> Bool {
        if status.isDirectory { return name == "lost+found" || SpoolSlots.isSlotName(name) }
        guard status.isRegularFile else { return false }
        // A small file has this suffix until it is complete.
        let whole = name.hasSuffix(".part") ? String(name.dropLast(5)) : name
        if [Self.lockFile, Self.marker].contains(whole) { return true }
        if whole.hasSuffix(".json") { return Self.isDamagedName(String(whole.dropLast(5))) }
        let database = Self.companions.first { whole.hasSuffix($0) }.map { String(whole.dropLast($0.count)) } ?? whole
        return [Self.file, Self.newFile].contains(database) || Self.isDamagedName(database)
    }

    private func checkFiles(_ opened: CheckedDirectory) throws(FileError) {
        for suffix in Self.companions + [""] { try opened.checkOpensByPath(Self.file + suffix) }
    }

    /// Returns the error for a spool that this user may not look into: the spool may exist, so it must not be reported
    /// as missing.
    func isForbidden(_ error: FileError) -> OutboxError {
        OutboxError(
            .notWritable,
            "\(error.path) \(error.clause). It cannot be determined whether a spool exists there and what waits in it; run this as the "
                + "user that owns the spool.")
    }

    /// Returns the error for a file of the spool that the system cannot open, read or change.
    func error(_ error: FileError) -> OutboxError {
        switch error.kind {
        case .diskFull: OutboxError(.diskFull, "The disk of the spool \(self.path) is full; free some space.")
        case .wrongKind where error.path == self.path && error.code == ENOTDIR:
            OutboxError(
                .notWritable,
                "The spool's path \(self.path) is a file; name a directory (it is created if it is missing).")
        case .exposed where error.path == self.path:
            OutboxError(.notWritable, "The spool's directory \(self.path) \(error.clause).")
        case .exposed, .wrongKind: OutboxError(.notWritable, "\(error.path) \(error.clause).")
        case .forbidden, .missing, .exists:
            OutboxError(
                .notWritable,
                "\(error.path) \(error.clause). Give this user write access to the spool's directory, on a writable disk."
            )
        case .tooLong, .failed: OutboxError(.failed, "\(error.path) \(error.clause).")
        }
    }

    /// Runs a body that waits for the disk, on a thread that may block.
    func blocking<Success: Sendable>(_ body: @escaping @Sendable () throws -> Success) async throws -> Success {
        try await withCheckedThrowingContinuation { continuation in
            DispatchQueue.global().async { continuation.resume(with: Result { try body() }) }
        }
    }
}

extension CheckedDirectory {
    /// Returns the size of a file in the directory in bytes; nil when there is no file.
    func size(of name: String) throws(FileError) -> Int? { try self.status(of: name)?.size }

    /// Returns the contents of a small file in the directory; nil when there is no file.
    func contents(of name: String, limit: Int) throws(FileError) -> [UInt8]? {
        guard let file = try self.openForReading(name) else { return nil }
        return try file.read(limit: limit, expected: try file.status().size)
    }
}
