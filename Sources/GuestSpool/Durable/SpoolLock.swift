import Glibc
import NIOConcurrencyHelpers

/// Keeps a second agent from a spool. The system releases it when the process ends, however it ends.
final class SpoolLock: Sendable {
    private let descriptor: NIOLockedValueBox<CInt?>

    /// - Throws: ``OutboxError`` with ``OutboxError/Code/inUse`` that names the process which holds it.
    init(_ directory: SpoolDirectory) throws(OutboxError) {
        let descriptor = unsafe Glibc.open(directory.lockFile, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw directory.error(errno, directory.lockFile) }
        // Whatever the umask took away.
        _ = fchmod(descriptor, 0o600)
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            guard errno == EWOULDBLOCK else {
                defer { Glibc.close(descriptor) }
                throw directory.error(errno, directory.lockFile)
            }
            var text = [UInt8](repeating: 0, count: 32)
            let count = unsafe pread(descriptor, &text, text.count, 0)
            Glibc.close(descriptor)
            let process = String(decoding: text.prefix(max(0, count)).prefix { $0 != 10 }, as: UTF8.self)
            throw OutboxError(
                .inUse,
                "Another agent, process \(process), uses the spool \(directory.path); stop it, or give this one its own."
            )
        }
        let line = Array("\(getpid())\n".utf8)
        // Only for people to read; the lock holds without it.
        _ = ftruncate(descriptor, 0)
        _ = unsafe pwrite(descriptor, line, line.count, 0)
        self.descriptor = NIOLockedValueBox(descriptor)
    }

    /// Lets another agent have the spool.
    func release() {
        let descriptor = self.descriptor.withLockedValue { descriptor in
            defer { descriptor = nil }
            return descriptor
        }
        guard let descriptor else { return }
        // A child that is being started elsewhere in this process has the descriptor too until it runs its program.
        _ = flock(descriptor, LOCK_UN)
        Glibc.close(descriptor)
    }

    deinit { self.release() }
}
