// SPDX-License-Identifier: Apache-2.0

import Foundation
import GRDB
package import Notifications

/// A spool's ledger and contents at one moment.
package struct SpoolOverview: Sendable, Hashable {
    /// The number of outcomes that were set aside for one reason.
    package struct Reason: Sendable, Hashable {
        /// The reason: a conductor's text or the spool's own.
        package let text: String
        /// The number of outcomes.
        package let count: Int
    }

    /// The spool's directory.
    package let path: String
    /// The agent that uses the spool.
    package internal(set) var holder = SpoolHolder.unknown
    /// The ledger.
    package internal(set) var counts = OutboxCounts()
    /// The size of the contexts and outcomes in the spool, in bytes.
    package internal(set) var bytes = 0
    /// The time at which the operation began that has been running longest, according to the spool.
    package internal(set) var runningSince: NotificationTimestamp?
    /// The time of the oldest waiting outcome.
    package internal(set) var waitingSince: NotificationTimestamp?
    /// Why outcomes were set aside, the most frequent reason first; at most ``reasonLimit``.
    package internal(set) var reasons: [Reason] = []
    /// Damaged database files that were set aside in the spool's directory, oldest first.
    package internal(set) var damagedFiles: [DamagedSpoolFile] = []
    /// Whether every operation is accounted for, and the tables agree with the ledger.
    package internal(set) var isBalanced = true

    /// Whether an agent or a flush must open the spool before its outcomes that were set aside can be retried. The same
    /// holds for exporting them, except during a claim. Possible causes: the spool is of an earlier version, or its
    /// agent ended while it claimed or repaired the spool.
    package internal(set) var mustBeOpened = false

    /// The maximum number of reasons that are listed.
    package static let reasonLimit = 100

    /// - Parameter db: nil for a spool without tables.
    init(_ directory: SpoolDirectory, _ db: Database?) throws {
        self.path = directory.path
        guard let db else { return }
        self.mustBeOpened = try Self.mustBeOpened(db)
        let tally = try SpoolTally(db)
        self.counts = tally.counts
        self.bytes = tally.bytes
        let held = try ["running", "waiting", "set_aside"].map { table in
            try Int.fetchOne(db, sql: "SELECT count(*) FROM \(table)") ?? 0
        }
        self.isBalanced =
            self.counts.isBalanced && held == [self.counts.running, self.counts.waiting, self.counts.setAside]
        self.runningSince = try String.fetchOne(db, sql: "SELECT CAST(min(begun_at) AS TEXT) FROM running")
            .flatMap { NotificationTimestamp($0) }
        let oldest = "SELECT \(SpoolOutcome.columns(.waiting)) ORDER BY sequence LIMIT 1"
        self.waitingSince = try Row.fetchOne(db, sql: oldest).flatMap { SpoolOutcome(.waiting, $0).report?.timestamp }
        self.reasons = try Row.fetchAll(
            db,
            sql: """
                SELECT CAST(reason AS TEXT) AS text, count(*) FROM set_aside
                GROUP BY text ORDER BY count(*) DESC, text LIMIT ?
                """, arguments: [Self.reasonLimit]
        ).map { Reason(text: $0[0] as String? ?? "", count: $0[1]) }
    }
}

extension SpoolOverview {
    private static func mustBeOpened(_ db: Database) throws -> Bool {
        // Without the table the spool is damaged; the next opening detects that.
        guard try SpoolSchema.migrator.hasCompletedMigrations(db), try db.tableExists("origin") else { return true }
        return try SpoolOrigin(db)?.isBeingClaimed == true
    }
}
