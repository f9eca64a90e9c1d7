import FaultPoints
import GRDB

/// The tables of a spool's file, and how older ones become them.
///
/// - `running`: operations that were begun, with their contexts.
/// - `waiting`: outcomes, in the order they arose; `AUTOINCREMENT` sees to it that no sequence comes twice.
/// - `set_aside`: outcomes that no conductor takes, with the reason, the guest's name if they are of another guest, and whether
///   they were running in a spool that is a copy, so that their operations may have been reported elsewhere.
/// - `origin`: one row, the guest and the machine whose spool it is, and whether another guest is taking it over (``SpoolOrigin``).
/// - `tally`: one row; it makes the ledger and the limits cost the same however much waits.
enum SpoolSchema {
    /// Stands in the file's header: `CNRS`.
    static let applicationID: Int32 = 0x434e_5253
    private static let tables = ["running", "set_aside", "tally", "waiting"]
    /// How the reason begins of what was running in a copy: by it migration 4 knows those of version 3.
    static let copiedReason = "Interrupted, and "

    /// Each migration is one transaction: a process that ends in it leaves the version before.
    static let migrator: DatabaseMigrator = {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1") { db in
            try db.execute(
                sql: """
                    PRAGMA application_id = \(Self.applicationID);
                    CREATE TABLE running (
                        message_id TEXT PRIMARY KEY NOT NULL, context BLOB NOT NULL, begun_at TEXT NOT NULL
                    ) WITHOUT ROWID;
                    CREATE TABLE waiting (
                        sequence INTEGER PRIMARY KEY AUTOINCREMENT, message_id TEXT NOT NULL, phase TEXT NOT NULL,
                        report BLOB NOT NULL
                    );
                    """)
            FaultPoint.spoolDuringMigration.reached()
            try db.execute(
                sql: """
                    CREATE INDEX waiting_by_phase ON waiting (phase, sequence);
                    CREATE TABLE set_aside (
                        sequence INTEGER PRIMARY KEY NOT NULL, message_id TEXT NOT NULL, phase TEXT NOT NULL,
                        report BLOB NOT NULL, reason TEXT NOT NULL, set_aside_at TEXT NOT NULL
                    );
                    CREATE TABLE tally (
                        id INTEGER PRIMARY KEY CHECK (id = 1), begun INTEGER NOT NULL, running INTEGER NOT NULL,
                        waiting INTEGER NOT NULL, delivered INTEGER NOT NULL, set_aside INTEGER NOT NULL,
                        refused INTEGER NOT NULL, bytes INTEGER NOT NULL
                    );
                    INSERT INTO tally VALUES (1, 0, 0, 0, 0, 0, 0, 0);
                    """)
        }
        migrator.registerMigration("2") { db in
            try db.execute(sql: "ALTER TABLE tally ADD COLUMN exported INTEGER NOT NULL DEFAULT 0")
        }
        migrator.registerMigration("3") { db in
            try db.execute(
                sql: """
                    CREATE TABLE origin (
                        id INTEGER PRIMARY KEY CHECK (id = 1), guest TEXT, machine_id TEXT, boot_id TEXT,
                        product_uuid TEXT, file_made TEXT
                    );
                    ALTER TABLE set_aside ADD COLUMN guest TEXT;
                    """)
        }
        migrator.registerMigration("4") { db in
            try db.execute(sql: "ALTER TABLE set_aside ADD COLUMN is_copied INTEGER NOT NULL DEFAULT 0")
            try db.execute(
                sql: "UPDATE set_aside SET is_copied = 1 WHERE substr(reason, 1, ?) = ?",
                arguments: [Self.copiedReason.count, Self.copiedReason])
        }
        migrator.registerMigration("5") { db in
            try db.execute(sql: "ALTER TABLE origin ADD COLUMN is_claimed INTEGER NOT NULL DEFAULT 0")
        }
        return migrator
    }()

    /// Looks whether the file is a spool that this version can use, or is still empty. It changes nothing.
    ///
    /// - Throws: ``OutboxError`` for a newer spool and for another's database; damage when it is a spool in part.
    static func check(_ db: Database, _ directory: SpoolDirectory) throws {
        let objects = try String.fetchAll(db, sql: "SELECT name FROM sqlite_schema WHERE type = 'table'")
        let applicationID = try Int32.fetchOne(db, sql: "PRAGMA application_id") ?? 0
        if objects.allSatisfy({ $0 == "grdb_migrations" || $0.hasPrefix("sqlite_") }) {
            // A kill before the first migration was committed leaves no more than that.
            guard applicationID == 0 || applicationID == Self.applicationID else { throw Self.foreign(directory) }
            return
        }
        let missing = Self.tables.filter { !objects.contains($0) }
        guard applicationID == Self.applicationID || missing.isEmpty else { throw Self.foreign(directory) }
        if objects.contains("grdb_migrations"), try Self.migrator.hasBeenSuperseded(db) {
            throw OutboxError(
                .tooNew,
                """
                \(directory.file) was written by a newer version of the agent, and was left as it is; run that version, \
                or give this one a spool of its own.
                """)
        }
        guard applicationID == Self.applicationID else { throw SpoolFailure.damage("the header's mark is missing") }
        guard missing.isEmpty else { throw SpoolFailure.damage("the table \(missing[0]) is missing") }
    }

    private static func foreign(_ directory: SpoolDirectory) -> OutboxError {
        OutboxError(
            .notASpool,
            "\(directory.file) is a database, and no spool; it was left as it is. Give the agent a directory of its own."
        )
    }
}
