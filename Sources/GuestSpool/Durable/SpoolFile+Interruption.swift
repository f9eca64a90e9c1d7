// SPDX-License-Identifier: Apache-2.0

import GRDB
import Notifications

extension SpoolFile {
    /// The maximum number of interrupted operations that become outcomes in one transaction.
    private static let interruptionBatch = 500

    /// Turns operations that no agent runs any more into waiting errors. Those that cannot be read are set aside.
    ///
    /// - Parameter reason: why all of them are set aside; nil when they are not.
    /// - Returns: the number of operations, and how many of them were set aside.
    func interruptRunning(settingAside reason: String?) throws -> (count: Int, setAside: Int) {
        var (count, setAside) = (0, 0)
        // The outcomes must be on the disk before a conductor gets them: if a power cut removed them, they would be
        // created again with another time.
        try self.database.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = FULL") }
        while true {
            let batch = try self.database.write { db -> (count: Int, setAside: Int) in
                // The first rows of the remaining ones: converted rows are no longer in the table.
                let rows = try Row.fetchAll(
                    db, sql: "SELECT message_id, context, begun_at FROM running LIMIT ?",
                    arguments: [Self.interruptionBatch])
                var tally = try SpoolTally(db)
                let before = tally.counts.setAside
                for row in rows { try Self.interrupt(row, reason, db, &tally) }
                if !rows.isEmpty { try tally.save(db) }
                return (rows.count, tally.counts.setAside - before)
            }
            count += batch.count
            setAside += batch.setAside
            if batch.count < Self.interruptionBatch { return (count, setAside) }
        }
    }

    private static func interrupt(
        _ row: Row, _ reason: String?, _ db: Database, _ tally: inout SpoolTally
    ) throws {
        do {
            try SpoolRow.begun(row).interrupted().apply(db, &tally)
            guard let reason else { return }
            let sequence = db.lastInsertedRowID
            try SpoolChange.setAside(sequence, reason, NotificationTimestamp.now().description, db, &tally)
            try db.execute(sql: "UPDATE set_aside SET is_copied = 1 WHERE sequence = ?", arguments: [sequence])
        } catch let error as SpoolRowError {
            // The row is stored unchanged, under a new sequence.
            try db.execute(
                sql: """
                    INSERT INTO waiting (message_id, phase, report)
                    SELECT message_id, 'error', context FROM running WHERE message_id IS ?
                    """, arguments: [row[0] as DatabaseValue])
            let sequence = db.lastInsertedRowID
            try db.execute(
                sql: "DELETE FROM running WHERE message_id IS ?", arguments: [row[0] as DatabaseValue])
            tally.counts.running -= 1
            tally.counts.waiting += 1
            try SpoolChange.setAside(
                sequence, "The interrupted operation cannot be read: \(error)",
                NotificationTimestamp.now().description, db, &tally)
        }
    }
}
