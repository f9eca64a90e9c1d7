// SPDX-License-Identifier: Apache-2.0

import Foundation
import GRDB
import SecureFiles

/// Puts outcomes that were set aside back into the queue, or removes them permanently, while an agent may use the
/// spool. Each change is one transaction, which also updates the ledger.
package struct SetAsideOutcomes: Sendable {
    private enum Change {
        case retry, retryAll, export
    }

    /// The number of outcomes that a change concerned.
    package struct Changed: Sendable, Hashable {
        /// Outcomes that wait for a conductor again, or that were removed.
        package var count = 0
        /// Outcomes whose operations were running in a spool that was copied; they stay set aside.
        package var copied = 0

        /// Creates counts of zero.
        package init() {}
    }

    private let directory: SpoolDirectory

    /// - Parameter path: the spool's directory.
    package init(_ path: String) { self.directory = SpoolDirectory(path: path) }

    /// Puts outcomes back into the queue, behind all waiting outcomes, under their message ids. The change is on the
    /// disk when this method returns.
    ///
    /// - Parameter sequences: the sequences of outcomes that were set aside, each of which the caller has named. The
    ///   method skips those that are no longer set aside, and those of another guest.
    /// - Returns: the number of outcomes that were put back.
    /// - Throws: ``OutboxError`` when there is no spool, it cannot be written, or an agent must open it first; then no
    ///   outcome was put back.
    @discardableResult
    package func retry(_ sequences: [Int64]) async throws -> Int { try await self.change(.retry, sequences).count }

    /// Puts outcomes that the caller has not named back into the queue, like ``retry(_:)``. It also skips outcomes
    /// whose operations were running in a spool that was copied: they may have ended elsewhere, and been reported under
    /// the same message ids.
    package func retryAll(_ sequences: [Int64]) async throws -> Changed {
        try await self.change(.retryAll, sequences)
    }

    /// Removes outcomes that the caller has stored elsewhere. The ledger counts them as exported.
    ///
    /// - Parameter sequences: the sequences of outcomes that were set aside; the method skips those that are no longer
    ///   set aside.
    /// - Returns: the number of outcomes that were removed.
    /// - Throws: ``OutboxError`` when there is no spool, it cannot be written, or an agent must open it first; then no
    ///   outcome was removed.
    @discardableResult
    package func export(_ sequences: [Int64]) async throws -> Int { try await self.change(.export, sequences).count }

    private func change(_ change: Change, _ sequences: [Int64]) async throws -> Changed {
        let directory = self.directory
        return try await directory.blocking {
            // Throws the reason when the directory holds no spool, before SQLite could create a database there.
            try SpoolReader(directory: directory).read { _ in }
            // SQLite writes by path, also when this runs as root, so no other user may be able to replace a name here.
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
                    // Only the agent checkpoints, because it handles a disk that fails.
                    try db.execute(sql: "PRAGMA wal_autocheckpoint = 0")
                    return try Self.change(change, sequences, db, directory)
                }
            } catch {
                if SpoolFailure.isFailedWrite(error) { LogFailureMark.set(true, directory) }
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
                    The spool \(directory.path) is of another version; an earlier one is migrated by the next agent or flush \
                    that opens it.
                    """)
            }
            // Outcomes that the claim has not reached yet may be another guest's, and would be sent as this guest's.
            if change != .export, try SpoolOrigin(db)?.isBeingClaimed == true {
                throw OutboxError(
                    .failed,
                    """
                    The spool \(directory.path) is being claimed from another guest, whose outcomes are set aside first; \
                    try again later; if no agent is running, first start one or run a flush, which opens the spool.
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
            // This guest must not report outcomes of another guest.
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
