import Glibc
import SecureFiles

/// The mark in a spool's lock file that a write or an `fsync` of its log failed, for the next agent: the system may have dropped what the
/// log holds, and report success for it.
///
/// It is the line after the process id. It need not reach the disk, since once the system has started again the log is what the disk has.
enum LogDoubt {
    private static let mark = "doubt"

    /// Whether the log is marked; also where that cannot be told.
    static func isMarked(_ file: borrowing OpenFile) -> Bool {
        guard let text = try? file.read(limit: 64) else { return true }
        return String(decoding: text, as: UTF8.self).split(separator: "\n").dropFirst().contains { $0 == Self.mark }
    }

    /// Writes the lock file's text in place, which a full disk takes as well.
    static func write(_ file: borrowing OpenFile, process: Int32, isMarked: Bool) {
        let text = Array((isMarked ? "\(process)\n\(Self.mark)\n" : "\(process)\n").utf8)
        _ = unsafe pwrite(file.descriptor, text, text.count, 0)
        _ = ftruncate(file.descriptor, off_t(text.count))
    }

    /// Marks the log, or takes the mark away.
    static func set(_ isMarked: Bool, _ directory: SpoolDirectory) {
        guard let opened = try? directory.openForWriting(),
            let file = try? opened.openForChanging(SpoolDirectory.lockFile)
        else { return }
        guard Self.isMarked(file) != isMarked else { return }
        Self.write(file, process: SpoolLock.process(file) ?? getpid(), isMarked: isMarked)
    }
}
