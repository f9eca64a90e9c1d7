import GRDB
import NIOConcurrencyHelpers
import SecureFiles

/// The write-ahead log: how long it is, and whether the disk has it.
extension SpoolWriter {
    /// Keeps the log short, while no caller waits for what is written.
    func carryOverLog() {
        let size = (try? FileStatus.of("\(self.store.directory.file)-wal"))?.size ?? 0
        let isLong = self.state.withLockedValue { state in
            // Begun again since.
            if size < state.carriedOverLog { state.carriedOverLog = 0 }
            return size >= state.carriedOverLog + SpoolFile.logStep
        }
        guard isLong else { return }
        do {
            try self.store.write(SpoolFile.carryOverLog)
            self.state.withLockedValue { $0.carriedOverLog = size }
        } catch {
            // Tried again after the next write.
            if SpoolFailure.leavesDoubt(error) { self.doubt() }
        }
    }

    /// After a failed fsync the system may drop what it could not write, and report success the next time.
    func doubt() {
        self.state.withLockedValue { $0.isInDoubt = true }
        LogDoubt.set(true, self.store.directory)
    }

    /// Before anything is committed: what the system still has of the log goes into the database file, and the log begins again.
    func settleDoubt(_ db: Database) throws {
        guard self.state.withLockedValue({ $0.isInDoubt }) else { return }
        try db.checkpoint(.truncate)
        self.state.withLockedValue { $0.isInDoubt = false }
        LogDoubt.set(false, self.store.directory)
    }
}
