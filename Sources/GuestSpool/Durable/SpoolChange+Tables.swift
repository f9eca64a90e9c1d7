// SPDX-License-Identifier: Apache-2.0

import FaultPoints
import Foundation
import GRDB

extension SpoolChange.Begin {
    /// Returns why the operation is rejected; nil when there is space for it.
    private func refusal(_ tally: SpoolTally, _ configuration: Spool.Configuration) -> OutboxError? {
        let counts = tally.counts
        let count = counts.running + counts.waiting + counts.setAside
        // The operation's context is stored twice: with the operation, and with its outcome.
        let (forOthers, isAbsurd) = (counts.running + 1).multipliedReportingOverflow(by: configuration.reservedBytes)
        // A wrong tally or an extremely large limit must not overflow and end the process.
        let reserved = isAbsurd ? .max >> 1 : min(forOthers, .max >> 1) + 2 * self.context.count
        var holds: String {
            "\(counts.running) operations run, \(counts.waiting) outcomes wait for a conductor, \(counts.setAside) are set aside"
        }
        if count >= configuration.maximumCount {
            return OutboxError(
                .full,
                """
                The spool is full: \(holds), and its maximumCount is \(configuration.maximumCount). See that a \
                conductor is reachable, export and remove outcomes that are set aside, or raise maximumCount.
                """)
        }
        if tally.bytes + reserved > configuration.maximumBytes {
            return OutboxError(
                .full,
                """
                The spool is full: \(holds); they take \(tally.bytes) bytes, \(reserved) must be free for the outcomes \
                of running operations (reservedBytes is \(configuration.reservedBytes)), and its maximumBytes is \
                \(configuration.maximumBytes). See that a conductor is reachable, export and remove set-aside outcomes, or raise \
                maximumBytes.
                """)
        }
        return nil
    }

    func apply(_ db: Database, _ tally: inout SpoolTally, _ configuration: Spool.Configuration) throws {
        if let refusal = self.refusal(tally, configuration) { throw refusal }
        // A conflict changes nothing, and does not affect other changes.
        try db.cachedStatement(
            sql: "INSERT INTO running (message_id, context, begun_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
        ).execute(arguments: [self.messageID, self.context, self.begunAt])
        guard db.changesCount == 1 else {
            throw OutboxError(
                .alreadyBegun,
                "The operation of message \(self.messageID) is already running; begin each message id once.")
        }
        tally.counts.begun += 1
        tally.counts.running += 1
        tally.bytes += self.context.count
    }
}

extension SpoolChange.Finish {
    func apply(_ db: Database, _ tally: inout SpoolTally) throws {
        guard let bytes = try SpoolChange.takeRunning(self.messageID, self.contextSize, db) else {
            throw OutboxError(
                .notBegun, "The operation of message \(self.messageID) was not begun, or has ended before.")
        }
        try self.wait(db)
        tally.counts.running -= 1
        tally.counts.waiting += 1
        tally.bytes += self.report.count - bytes
    }

    func wait(_ db: Database) throws {
        try db.cachedStatement(sql: "INSERT INTO waiting (message_id, phase, report) VALUES (?, ?, ?)")
            .execute(arguments: [self.messageID, self.phase, self.report])
    }
}

extension SpoolChange {
    /// Removes an operation from those that run.
    ///
    /// It uses two statements: for RETURNING, SQLite opens a temporary table each time, which takes longer than
    /// everything else here.
    ///
    /// - Parameter contextSize: the size of its context in bytes; looked up if nil.
    /// - Returns: the size of its context in bytes; nil when the operation is not running.
    fileprivate static func takeRunning(_ messageID: String, _ contextSize: Int?, _ db: Database) throws -> Int? {
        let bytes =
            try contextSize
            ?? Int.fetchOne(
                try db.cachedStatement(sql: "SELECT length(CAST(context AS BLOB)) FROM running WHERE message_id = ?"),
                arguments: [messageID])
        guard let bytes else { return nil }
        try db.cachedStatement(sql: "DELETE FROM running WHERE message_id = ?").execute(arguments: [messageID])
        return db.changesCount == 1 ? bytes : nil
    }

    static func cancel(_ messageID: String, _ db: Database, _ tally: inout SpoolTally) throws {
        guard let bytes = try Self.takeRunning(messageID, nil, db) else { return }
        tally.counts.begun -= 1
        tally.counts.running -= 1
        tally.bytes -= bytes
    }

    static func remove(_ sequences: [Int64], _ db: Database, _ tally: inout SpoolTally) throws {
        let length = try db.cachedStatement(sql: "SELECT length(CAST(report AS BLOB)) FROM waiting WHERE sequence = ?")
        let deletion = try db.cachedStatement(sql: "DELETE FROM waiting WHERE sequence = ?")
        for sequence in sequences {
            guard let bytes = try Int.fetchOne(length, arguments: [sequence]) else {
                try Self.removeOfAnotherGuest(sequence, db, &tally)
                continue
            }
            try deletion.execute(arguments: [sequence])
            tally.counts.waiting -= 1
            tally.counts.delivered += 1
            tally.bytes -= bytes
            FaultPoint.spoolDuringDelete.reached()
        }
    }

    /// Removes an outcome that was in flight when another guest claimed the spool: it was set aside, and counts as
    /// delivered.
    private static func removeOfAnotherGuest(_ sequence: Int64, _ db: Database, _ tally: inout SpoolTally) throws {
        let bytes = try Int.fetchOne(
            try db.cachedStatement(
                sql: """
                    SELECT length(CAST(report AS BLOB)) FROM set_aside WHERE sequence = ? AND guest IS NOT NULL
                    """),
            arguments: [sequence])
        guard let bytes else { return }
        try db.cachedStatement(sql: "DELETE FROM set_aside WHERE sequence = ?").execute(arguments: [sequence])
        tally.counts.setAside -= 1
        tally.counts.delivered += 1
        tally.bytes -= bytes
    }

    static func setAside(
        _ sequence: Int64, _ reason: String, _ timestamp: String, _ db: Database, _ tally: inout SpoolTally
    ) throws {
        try db.cachedStatement(
            sql: """
                INSERT INTO set_aside (sequence, message_id, phase, report, reason, set_aside_at)
                SELECT sequence, message_id, phase, report, ?, ? FROM waiting WHERE sequence = ?
                """
        ).execute(arguments: [reason, timestamp, sequence])
        guard db.changesCount == 1 else { return }
        try db.cachedStatement(sql: "DELETE FROM waiting WHERE sequence = ?").execute(arguments: [sequence])
        tally.counts.waiting -= 1
        tally.counts.setAside += 1
    }
}
