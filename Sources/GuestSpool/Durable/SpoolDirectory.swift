import Dispatch
import Glibc
import SecureFiles

/// A spool's directory, and the names in it.
struct SpoolDirectory: Sendable, Hashable {
    let path: String

    /// The database; SQLite puts `-wal` and `-shm` files beside it.
    static let file = "spool.sqlite"
    /// What SQLite may put beside a database, and must never find beside another.
    static let companions = ["-journal", "-shm", "-wal"]
    /// Held by the agent that uses the spool.
    static let lockFile = "agent.lock"

    /// The database's path, for SQLite.
    var file: String { "\(self.path)/\(Self.file)" }
    /// The lock file's path.
    var lockFile: String { "\(self.path)/\(Self.lockFile)" }

    /// Makes the directory, for this user only. What is there already keeps its permissions: it is somebody's decision.
    ///
    /// - Throws: ``OutboxError`` that says why it cannot be made; its parent must be there, so that a mistyped path, or
    ///   one on a disk that is not mounted, is noticed.
    func create() throws(OutboxError) {
        do throws(FileError) {
            guard try !CheckedDirectory.make(self.path) else { return }
        } catch {
            switch error.code {
            case ENOENT:
                throw OutboxError(
                    .notWritable,
                    "The spool's directory \(self.path) cannot be made: its parent is missing; make that one.")
            default: throw self.error(error)
            }
        }
    }

    /// Opens the directory for an agent that makes and changes files in it.
    ///
    /// SQLite, which opens files by their paths, opens the same ones: nobody else can exchange a name in a directory that
    /// passes, nor one of those that lead there. What it would open has been looked at.
    ///
    /// - Throws: ``OutboxError`` for a directory that others can write in, or with a link or a special file in the place of a
    ///   file of the spool.
    func openForWriting() throws(OutboxError) -> CheckedDirectory {
        do throws(FileError) {
            let opened = try CheckedDirectory(self.path, for: .writing, isOwn: Self.isOwn)
            try self.checkFiles(opened)
            return opened
        } catch {
            throw self.error(error)
        }
    }

    /// Opens the directory, which may be another user's, to look into it.
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
            case .missing: throw OutboxError(.noSpool, "There is no directory \(self.path).")
            case .wrongKind where error.path == self.path && error.code == ENOTDIR:
                throw OutboxError(.noSpool, "\(self.path) is no directory.")
            case .wrongKind where error.path == self.file:
                throw OutboxError(.noSpool, "\(self.path) holds no spool: \(error)")
            case .forbidden: throw self.isForbidden(error)
            default: throw self.error(error)
            }
        }
        guard hasSpool else {
            // A process that ended in between left it without a database.
            if try self.isBeingRepaired(opened) { throw self.isBeingRepaired }
            throw OutboxError(.noSpool, "\(self.path) holds no spool: it has no file \(Self.file).")
        }
        return opened
    }

    /// Whether the spool was found damaged, so that its next opening repairs it.
    func isBeingRepaired(_ opened: CheckedDirectory) throws(OutboxError) -> Bool {
        do throws(FileError) {
            return try opened.status(of: Self.marker) != nil
        } catch {
            throw self.error(error)
        }
    }

    /// The error for those who do not open such a spool as an agent does.
    var isBeingRepaired: OutboxError {
        OutboxError(
            .failed, "The spool \(self.path) is being repaired; try again once an agent or a flush has opened it.")
    }

    /// Whether a spool's directory, or one of slots, has something of this name and kind: a slot, or one of the spool's files.
    ///
    /// The directory `lost+found` is the file system's.
    private static func isOwn(_ name: String, _ status: FileStatus) -> Bool {
        if status.isDirectory { return name == "lost+found" || SpoolSlots.isSlotName(name) }
        guard status.isRegularFile else { return false }
        // How a small file is called until it is whole.
        let whole = name.hasSuffix(".part") ? String(name.dropLast(5)) : name
        if [Self.lockFile, Self.marker].contains(whole) { return true }
        if whole.hasSuffix(".json") { return Self.isDamagedName(String(whole.dropLast(5))) }
        let database = Self.companions.first { whole.hasSuffix($0) }.map { String(whole.dropLast($0.count)) } ?? whole
        return [Self.file, Self.newFile].contains(database) || Self.isDamagedName(database)
    }

    private func checkFiles(_ opened: CheckedDirectory) throws(FileError) {
        for suffix in Self.companions + [""] { try opened.checkOpensByPath(Self.file + suffix) }
    }

    /// What is told of a spool that this user may not look into: it must not be taken for one that is not there.
    func isForbidden(_ error: FileError) -> OutboxError {
        OutboxError(
            .notWritable,
            "\(error.path) \(error.clause). Whether a spool is there, and what waits in it, cannot be told; run this as the "
                + "user whose spool it is.")
    }

    /// What an embedder is told when the system refuses a file of the spool.
    func error(_ error: FileError) -> OutboxError {
        switch error.kind {
        case .diskFull: OutboxError(.diskFull, "The disk of the spool \(self.path) is full; make room on it.")
        case .wrongKind where error.path == self.path && error.code == ENOTDIR:
            OutboxError(
                .notWritable, "The spool's path \(self.path) is a file; name a directory, which may be missing.")
        case .exposed where error.path == self.path:
            OutboxError(.notWritable, "The spool's directory \(self.path) \(error.clause).")
        case .exposed, .wrongKind: OutboxError(.notWritable, "\(error.path) \(error.clause).")
        case .forbidden, .missing, .exists:
            OutboxError(
                .notWritable,
                "\(error.path) \(error.clause). Let this user write in the spool's directory, on a disk that is writable."
            )
        case .tooLong, .failed: OutboxError(.failed, "\(error.path) \(error.clause).")
        }
    }

    /// Runs what waits for the disk, on a thread that may wait.
    func blocking<Success: Sendable>(_ body: @escaping @Sendable () throws -> Success) async throws -> Success {
        try await withCheckedThrowingContinuation { continuation in
            DispatchQueue.global().async { continuation.resume(with: Result { try body() }) }
        }
    }
}

extension CheckedDirectory {
    /// How many bytes a file in the directory has; nil when there is none.
    func size(of name: String) throws(FileError) -> Int? { try self.status(of: name)?.size }

    /// What a small file in the directory holds; nil when there is none.
    func contents(of name: String, limit: Int) throws(FileError) -> [UInt8]? {
        guard let file = try self.openForReading(name) else { return nil }
        return try file.read(limit: limit, expected: try file.status().size)
    }
}
