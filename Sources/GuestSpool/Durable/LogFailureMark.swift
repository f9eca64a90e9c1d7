// SPDX-License-Identifier: Apache-2.0

import Glibc
import SecureFiles

/// A mark in a spool's lock file which says that a write or an `fsync` of the spool's log failed. The next agent reads
/// it: the system may have dropped the log's content, and may report success for it.
///
/// The mark is the line after the process id. It need not reach the disk: after a restart of the machine, the log is
/// what the disk has.
enum LogFailureMark {
    private static let mark = "doubt"

    /// Whether the log is marked; also true when the file cannot be read.
    static func isMarked(_ file: borrowing OpenFile) -> Bool {
        guard let text = try? file.read(limit: 64) else { return true }
        return String(decoding: text, as: UTF8.self).split(separator: "\n").dropFirst().contains { $0 == Self.mark }
    }

    /// Writes the lock file's text in place, which works on a full disk too.
    static func write(_ file: borrowing OpenFile, process: Int32, isMarked: Bool) {
        let text = Array((isMarked ? "\(process)\n\(Self.mark)\n" : "\(process)\n").utf8)
        _ = unsafe pwrite(file.descriptor, text, text.count, 0)
        _ = ftruncate(file.descriptor, off_t(text.count))
    }

    /// Marks the log, or removes the mark.
    static func set(_ isMarked: Bool, _ directory: SpoolDirectory) {
        guard let opened = try? directory.openForWriting(),
            let file = try? opened.openForChanging(SpoolDirectory.lockFile)
        else { return }
        guard Self.isMarked(file) != isMarked else { return }
        Self.write(file, process: SpoolLock.process(file) ?? getpid(), isMarked: isMarked)
    }
}
