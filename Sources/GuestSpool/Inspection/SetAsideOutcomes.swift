import Foundation
import GRDB
import SecureFiles

/// Puts outcomes that were set aside back to the others, or takes them out for good, beside whatever agent uses the
/// spool: each change is one transaction, and the ledger goes along.
package struct SetAsideOutcomes: Sendable {
    private enum Change {
        case retry, retryAll, export
    }

    /// How many outcomes a change concerned.
    package struct Changed: Sendable, Hashable {
        /// They wait for a conductor again, or were taken out.
        package var count = 0
        /// They were running in a spool that was copied, and stay set aside.
        package var copied = 0

        /// None.
        package init() {}
    }

    private let directory: SpoolDirectory

    /// - Parameter path: the spool's directory.
    package init(_ path: String) { self.directory = SpoolDirectory(path: path) }

    /// Lets outcomes wait for a conductor again, behind all that waits, under the message ids they have. On the disk
    /// when this returns.
    ///
    /// - Parameter sequences: their places among those that were set aside, each of which the caller has named; what is not there any
    ///   more, and what another guest has left in the spool, is passed over.
    /// - Returns: how many were put back.
    /// - Throws: ``OutboxError`` when there is no spool or it cannot be written; then none of them was put back.
    @discardableResult
    package func retry(_ sequences: [Int64]) async throws -> Int { try await self.change(.retry, sequences).count }

    /// The same for outcomes that the caller has not named: those are passed over whose operations were running in a spool that was
    /// copied. They may have ended elsewhere, and been reported under the same message ids.
    package func retryAll(_ sequences: [Int64]) async throws -> Changed {
        try await self.change(.retryAll, sequences)
    }

    /// Takes outcomes out, which the caller has kept elsewhere: they count as exported from now on.
    ///
    /// - Parameter sequences: their places among those that were set aside; what is not there any more is passed over.
    /// - Returns: how many there were.
    /// - Throws: ``OutboxError`` when there is no spool or it cannot be written; then none of them was taken out.
    @discardableResult
    package func export(_ sequences: [Int64]) async throws -> Int { try await self.change(.export, sequences).count }

    private func change(_ change: Change, _ sequences: [Int64]) async throws -> Changed {
        let directory = self.directory
        return try await directory.blocking {
            // Says what is wrong with a directory that holds no spool, and makes none there.
            try SpoolReader(directory: directory).read { _ in }
            // Written to by path, as root too: nobody else may exchange a name here.
            let opened = try directory.openForWriting()
            guard try !directory.isBeingRepaired(opened) else { throw directory.isBeingRepaired }
            do {
                var settings = GRDB.Configuration()
                settings.label = "guest-spool-set-aside"
                settings.busyMode = .timeout(5)
                let database = try DatabaseQueue(path: directory.file, configuration: settings)
                defer { try? database.close() }
                return try database.inDatabase { db in
                    try db.execute(sql: "PRAGMA synchronous = FULL")
                    try db.execute(sql: "PRAGMA secure_delete = ON")
                    // The agent's, who heeds whether the disk takes it.
                    try db.execute(sql: "PRAGMA wal_autocheckpoint = 0")
                    return try Self.change(change, sequences, db, directory)
                }
            } catch {
                if SpoolFailure.leavesDoubt(error) { LogDoubt.set(true, directory) }
                throw SpoolReader.error(error, directory)
            }
        }
    }

    private static func change(
        _ change: Change, _ sequences: [Int64], _ db: Database, _ directory: SpoolDirectory
    ) throws -> Changed {
        var result = Changed()
        try db.inTransaction(.immediate) {
            guard try SpoolSchema.migrator.hasCompletedMigrations(db), try !SpoolSchema.migrator.hasBeenSuperseded(db)
            else {
                throw OutboxError(
                    .failed,
                    """
                    The spool \(directory.path) is of another version; the agent or the flush that next opens it brings \
                    an earlier one up to date.
                    """)
            }
            // What the claim has not looked at yet may be another guest's, and would be sent as this one's.
            if change != .export, try SpoolOrigin(db)?.isBeingClaimed == true {
                throw OutboxError(
                    .failed,
                    """
                    The spool \(directory.path) is being taken over from another guest, whose outcomes are set aside first; \
                    try again later, and if no agent runs, once an agent or a flush has opened it.
                    """)
            }
            var tally = try SpoolTally(db)
            for sequence in sequences {
                if change == .retryAll, try self.isCopied(sequence, db) {
                    result.copied += 1
                } else if try self.apply(change, sequence, db, &tally) {
                    result.count += 1
                }
            }
            try tally.save(db)
            return .commit
        }
        return result
    }

    private static func isCopied(_ sequence: Int64, _ db: Database) throws -> Bool {
        let statement = try db.cachedStatement(
            sql: "SELECT count(*) FROM set_aside WHERE sequence = ? AND is_copied <> 0 AND guest IS NULL")
        return try Int.fetchOne(statement, arguments: [sequence]) ?? 0 > 0
    }

    private static func apply(
        _ change: Change, _ sequence: Int64, _ db: Database, _ tally: inout SpoolTally
    ) throws -> Bool {
        if change != .export {
            try db.cachedStatement(
                sql: """
                    INSERT INTO waiting (message_id, phase, report)
                    SELECT message_id, phase, report FROM set_aside WHERE sequence = ? AND guest IS NULL
                    """
            ).execute(arguments: [sequence])
            // This guest cannot speak for another.
            guard db.changesCount == 1 else { return false }
        }
        let bytes = try Int.fetchOne(
            try db.cachedStatement(sql: "DELETE FROM set_aside WHERE sequence = ? RETURNING length(report)"),
            arguments: [sequence])
        guard let bytes else { return false }
        tally.counts.setAside -= 1
        switch change {
        case .retry, .retryAll: tally.counts.waiting += 1
        case .export:
            tally.counts.exported += 1
            tally.bytes -= bytes
        }
        return true
    }
}
