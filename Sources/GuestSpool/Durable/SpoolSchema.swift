// SPDX-License-Identifier: Apache-2.0

import FaultPoints
import GRDB

/// The tables of a spool's file, and the migrations of earlier versions.
///
/// - `running`: operations that were begun, with their contexts.
/// - `waiting`: outcomes, in the order in which they arose. `AUTOINCREMENT` ensures that no sequence is used twice.
/// - `set_aside`: outcomes that are not sent, with the reason. `guest` is the name of the guest if the outcome is
///   another guest's. `is_copied` says that the operation was running in a spool that is a copy, so that it may have
///   been reported elsewhere.
/// - `origin`: one row, the guest and the machine that the spool belongs to, and whether a guest is claiming the spool
///   (``SpoolOrigin``).
/// - `tally`: one row, which makes the cost of the ledger and the limits independent of the number of rows.
enum SpoolSchema {
    /// The mark of a spool in the header of the database file: `CNRS`.
    static let applicationID: Int32 = 0x434e_5253
    private static let tables = ["running", "set_aside", "tally", "waiting"]
    /// The first words of the reason of operations that were running in a copy. Migration 4 recognizes those of version
    /// 3 by them.
    static let copiedReason = "Interrupted, and "

    /// The migrations. Each is one transaction: a process that ends during a migration leaves the earlier version.
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

    /// Checks whether the file is a spool that this version can use, or is still empty. It changes nothing.
    ///
    /// - Throws: ``OutboxError`` for a newer spool and for another program's database; damage when only parts of a
    ///   spool are there.
    static func check(_ db: Database, _ directory: SpoolDirectory) throws {
        let objects = try String.fetchAll(db, sql: "SELECT name FROM sqlite_schema WHERE type = 'table'")
        let applicationID = try Int32.fetchOne(db, sql: "PRAGMA application_id") ?? 0
        if objects.allSatisfy({ $0 == "grdb_migrations" || $0.hasPrefix("sqlite_") }) {
            // A kill before the first migration was committed leaves only these tables.
            guard applicationID == 0 || applicationID == Self.applicationID else {
                throw Self.notASpoolError(directory)
            }
            return
        }
        let missing = Self.tables.filter { !objects.contains($0) }
        guard applicationID == Self.applicationID || missing.isEmpty else { throw Self.notASpoolError(directory) }
        if objects.contains("grdb_migrations"), try Self.migrator.hasBeenSuperseded(db) {
            throw OutboxError(
                .tooNew,
                """
                \(directory.file) was written by a newer version of the agent, and was not changed; run that version, \
                or give this one a separate spool.
                """)
        }
        guard applicationID == Self.applicationID else { throw SpoolFailure.damage("the header's mark is missing") }
        guard missing.isEmpty else { throw SpoolFailure.damage("the table \(missing[0]) is missing") }
    }

    private static func notASpoolError(_ directory: SpoolDirectory) -> OutboxError {
        OutboxError(
            .notASpool,
            "\(directory.file) is a database, but not a spool; it was not changed. Give the agent a separate directory."
        )
    }
}
