// SPDX-License-Identifier: Apache-2.0

import GRDB

/// The single row that stores the spool's ledger and size.
struct SpoolTally: Equatable {
    var counts = OutboxCounts()
    /// The size of the contexts and outcomes in the spool, in bytes.
    var bytes = 0

    /// Creates a tally of zero.
    init() {}

    /// Reads the tally. Every transaction that changes the tally reads it first, because another process may have
    /// changed it.
    ///
    /// - Throws: damage, when the row is missing or has impossible values.
    init(_ db: Database) throws {
        // Reads every column that exists, because an inspection also reads spools of earlier versions.
        let statement = try db.cachedStatement(sql: "SELECT * FROM tally WHERE id = 1")
        guard let row = try Row.fetchOne(statement) else { throw SpoolFailure.damage("the tally is missing") }
        self.counts.begun = try Self.number(row, "begun")
        self.counts.running = try Self.number(row, "running")
        self.counts.waiting = try Self.number(row, "waiting")
        self.counts.delivered = try Self.number(row, "delivered")
        self.counts.setAside = try Self.number(row, "set_aside")
        self.counts.refused = try Self.number(row, "refused")
        self.counts.exported = row.hasColumn("exported") ? try Self.number(row, "exported") : 0
        self.bytes = try Self.number(row, "bytes")
    }

    /// Returns a number that later additions cannot overflow.
    private static func number(_ row: Row, _ column: String) throws -> Int {
        // A column that is missing must not end the process.
        guard let value = row[column] as DatabaseValue?, case .int64(let number) = value.storage,
            (0..<1 << 56).contains(number)
        else {
            throw SpoolFailure.damage("the tally cannot be read")
        }
        return Int(number)
    }

    func save(_ db: Database) throws {
        try db.cachedStatement(
            sql: """
                UPDATE tally SET begun = ?, running = ?, waiting = ?, delivered = ?, set_aside = ?, refused = ?,
                exported = ?, bytes = ? WHERE id = 1
                """
        ).execute(arguments: [
            self.counts.begun, self.counts.running, self.counts.waiting, self.counts.delivered, self.counts.setAside,
            self.counts.refused, self.counts.exported, self.bytes,
        ])
    }
}
