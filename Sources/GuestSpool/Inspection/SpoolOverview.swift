import Foundation
import GRDB
public import Notifications

/// What a spool holds and has seen, at one moment.
public struct SpoolOverview: Sendable, Hashable {
    /// How many outcomes were set aside for one reason.
    public struct Reason: Sendable, Hashable {
        /// A conductor's words.
        public let text: String
        /// How many.
        public let count: Int
    }

    /// The spool's directory.
    public let path: String
    /// Who has it.
    public internal(set) var holder = SpoolHolder.unknown
    /// The ledger.
    public internal(set) var counts = OutboxCounts()
    /// Bytes of the contexts and outcomes it holds.
    public internal(set) var bytes = 0
    /// When the operation began that runs for longest, by the spool's account.
    public internal(set) var runningSince: NotificationTimestamp?
    /// When the oldest outcome arose that waits.
    public internal(set) var waitingSince: NotificationTimestamp?
    /// Why outcomes were set aside, the most frequent reason first; at most ``reasonLimit``.
    public internal(set) var reasons: [Reason] = []
    /// Files, beside the spool's own, that were found damaged and set aside, oldest first.
    public internal(set) var damagedFiles: [DamagedSpoolFile] = []
    /// Whether every operation is accounted for, and the tables hold what the ledger says.
    public internal(set) var isBalanced = true

    /// Whether an agent or a flush must open the spool before outcomes that were set aside in it can be retried, or, but for a claim,
    /// taken out: it is of an earlier version, or its agent ended while it claimed the spool or repaired it.
    package internal(set) var mustBeOpened = false

    /// How many reasons are told apart.
    public static let reasonLimit = 100

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
        // Without the table the spool is damaged, which its next opening notices.
        guard try SpoolSchema.migrator.hasCompletedMigrations(db), try db.tableExists("origin") else { return true }
        return try SpoolOrigin(db)?.isBeingClaimed == true
    }
}

/// A file that was found damaged and set aside; what could be read of it lies in the spool again.
public struct DamagedSpoolFile: Sendable, Hashable {
    /// Its name in the spool's directory.
    public let name: String
    /// What was found; empty when that is not known any more.
    public let reason: String
}
