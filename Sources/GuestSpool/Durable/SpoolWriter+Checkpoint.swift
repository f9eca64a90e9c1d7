// SPDX-License-Identifier: Apache-2.0

import GRDB
import NIOConcurrencyHelpers
import SecureFiles

/// Checkpoints of the write-ahead log: its length, and whether the disk has all of it.
extension SpoolWriter {
    /// Checkpoints the log when it is long. Callers that wait for a write are answered before this.
    func checkpointLog() {
        let size = (try? FileStatus.of("\(self.store.directory.file)-wal"))?.size ?? 0
        guard self.machine.withLockedValue({ $0.recordLogSize(size) }) else { return }
        do {
            try self.store.write(SpoolFile.checkpointLog)
            self.machine.withLockedValue { $0.checkpointedLogSize = size }
        } catch {
            // The next write retries.
            if SpoolFailure.isFailedWrite(error) { self.markLogSuspect() }
        }
    }

    /// Records that the log may be incomplete on the disk. After a failed fsync the system may drop the data that it
    /// could not write, and report success the next time.
    func markLogSuspect() {
        self.machine.withLockedValue { $0.isLogSuspect = true }
        LogFailureMark.set(true, self.store.directory)
    }

    /// Checkpoints and truncates the log before anything is committed, if the log may be incomplete on the disk. The
    /// system still has the log's content, and writes it into the database file.
    func checkpointSuspectLog(_ db: Database) throws {
        guard self.machine.withLockedValue({ $0.isLogSuspect }) else { return }
        try db.checkpoint(.truncate)
        self.machine.withLockedValue { $0.isLogSuspect = false }
        LogFailureMark.set(false, self.store.directory)
    }
}
