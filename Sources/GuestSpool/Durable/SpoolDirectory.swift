import Dispatch
import Foundation
import Glibc

/// A spool's directory, and the names in it.
struct SpoolDirectory: Sendable, Hashable {
    let path: String

    /// The database; SQLite puts `-wal` and `-shm` files beside it.
    var file: String { "\(self.path)/spool.sqlite" }
    /// What SQLite may put beside a database, and must never find beside another.
    static let companions = ["-journal", "-shm", "-wal"]
    /// Held by the agent that uses the spool.
    var lockFile: String { "\(self.path)/agent.lock" }

    /// Makes the directory, for this user only. What is there already keeps its permissions: it is somebody's decision.
    ///
    /// - Throws: ``OutboxError`` that says why it cannot be made; its parent must be there, so that a mistyped path, or
    ///   one on a disk that is not mounted, is noticed.
    func create() throws(OutboxError) {
        guard unsafe mkdir(self.path, 0o700) != 0 else {
            // Whatever the umask took away.
            _ = unsafe chmod(self.path, 0o700)
            Self.sync((self.path as NSString).deletingLastPathComponent)
            return
        }
        switch errno {
        case EEXIST:
            guard !self.isDirectory else { return }
            throw OutboxError(
                .notWritable, "The spool's path \(self.path) is a file; name a directory, which may be missing.")
        case ENOENT:
            throw OutboxError(
                .notWritable, "The spool's directory \(self.path) cannot be made: its parent is missing; make that one."
            )
        case ENOSPC, EDQUOT: throw self.error(ENOSPC, self.path)
        case let code: throw self.error(code, self.path)
        }
    }

    private var isDirectory: Bool {
        var status = stat()
        return unsafe stat(self.path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// What an embedder is told when the system refuses a file of the spool.
    ///
    /// - Parameters:
    ///   - code: the `errno`.
    ///   - path: the file.
    func error(_ code: CInt, _ path: String) -> OutboxError {
        let reason = unsafe String(cString: strerror(code))
        switch code {
        case ENOSPC, EDQUOT:
            return OutboxError(.diskFull, "The disk of the spool \(self.path) is full; make room on it.")
        case EACCES, EPERM, EROFS, EISDIR, ENOTDIR, ENOENT:
            return OutboxError(
                .notWritable,
                "\(path) cannot be opened or made: \(reason). Let this user write in the spool's directory, on a disk that is writable."
            )
        default: return OutboxError(.failed, "\(path) cannot be opened or made: \(reason).")
        }
    }

    /// How many bytes the file has; nil when there is none.
    static func size(_ path: String) -> Int? {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { return nil }
        return Int(status.st_size)
    }

    /// Sees to it that names in the directory are on the disk.
    func sync() { Self.sync(self.path) }

    private static func sync(_ path: String) {
        let descriptor = unsafe Glibc.open(path.isEmpty ? "." : path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        _ = fsync(descriptor)
        Glibc.close(descriptor)
    }

    /// Runs what waits for the disk, on a thread that may wait.
    func blocking<Success: Sendable>(_ body: @escaping @Sendable () throws -> Success) async throws -> Success {
        try await withCheckedThrowingContinuation { continuation in
            DispatchQueue.global().async { continuation.resume(with: Result { try body() }) }
        }
    }
}
