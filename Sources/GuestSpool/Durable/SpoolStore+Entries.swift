// SPDX-License-Identifier: Apache-2.0

import GRDB
import Notifications

extension SpoolStore {
    /// Returns waiting outcomes, oldest first, and separately those that cannot be read.
    func entries(
        _ phase: OperationPhase?, after sequence: Int64, limit: Int
    ) async throws -> (entries: [OutboxEntry], unreadable: [(sequence: Int64, reason: String)]) {
        let condition = phase == nil ? "" : "phase = ? AND "
        let arguments: StatementArguments =
            phase.map { [$0.rawValue, sequence, max(0, limit)] } ?? [sequence, max(0, limit)]
        let rows = try await self.read { db in
            try Row.fetchAll(
                try db.cachedStatement(
                    sql: """
                        SELECT sequence, message_id, report FROM waiting
                        WHERE \(condition)sequence > ? ORDER BY sequence LIMIT ?
                        """),
                arguments: arguments
            ).map { row in [row[0], row[1], row[2]] as [DatabaseValue] }
        }
        var entries: [OutboxEntry] = []
        var unreadable: [(sequence: Int64, reason: String)] = []
        for row in rows {
            guard let sequence = SpoolRow.integer(row[0]) else { continue }
            self.recordReturned(sequence)
            do {
                entries.append(
                    OutboxEntry(sequence: sequence, report: try SpoolRow.report(row[2], messageID: row[1])))
            } catch {
                unreadable.append((sequence, error.description))
            }
        }
        return (entries, unreadable)
    }
}
