// SPDX-License-Identifier: Apache-2.0

import GRDB
package import Notifications

/// Reads a spool, whether an agent uses it or not, and changes nothing: it keeps no agent from the spool, and
/// operations that an agent left running stay as they are.
package struct SpoolInspection: Sendable {
    private let directory: SpoolDirectory

    /// - Parameter path: the spool's directory, as it was passed to ``Spool/open(_:configuration:logger:)``.
    package init(_ path: String) { self.directory = SpoolDirectory(path: path) }

    /// Returns the spool's ledger and a summary of its contents.
    ///
    /// - Throws: ``OutboxError``, with ``OutboxError/Code/noSpool`` when there is no spool in the directory.
    package func overview() async throws -> SpoolOverview {
        let directory = self.directory
        return try await directory.blocking {
            var overview = try SpoolReader(directory: directory).read { try SpoolOverview(directory, $0) }
            let opened = try directory.openForReading()
            overview.holder = SpoolHolder(directory, in: opened)
            if try directory.isBeingRepaired(opened) { overview.mustBeOpened = true }
            overview.damagedFiles = try DamagedSpoolFile.all(in: directory, opened)
            return overview
        }
    }

    /// Returns outcomes of one state, oldest first.
    ///
    /// - Parameters:
    ///   - state: the outcomes' state.
    ///   - sequence: only outcomes with a later sequence; 0 for all.
    ///   - limit: the maximum number of outcomes.
    /// - Throws: ``OutboxError``, with ``OutboxError/Code/noSpool`` when there is no spool in the directory.
    package func outcomes(
        _ state: SpoolOutcome.State, after sequence: Int64 = 0, limit: Int
    ) async throws -> [SpoolOutcome] {
        try await self.select(state, "sequence > ? ORDER BY sequence LIMIT ?", [sequence, limit])
    }

    /// Returns the outcome with this message id, if it waits or was set aside.
    ///
    /// - Throws: ``OutboxError``, with ``OutboxError/Code/noSpool`` when there is no spool in the directory.
    package func outcome(_ messageID: MessageID) async throws -> SpoolOutcome? {
        for state in SpoolOutcome.State.allCases {
            let found = try await self.select(state, "message_id = ? LIMIT 1", [messageID.description])
            if let outcome = found.first { return outcome }
        }
        return nil
    }

    private func select(
        _ state: SpoolOutcome.State, _ condition: String, _ arguments: StatementArguments
    ) async throws -> [SpoolOutcome] {
        let directory = self.directory
        return try await directory.blocking {
            try SpoolReader(directory: directory).read { db in
                guard let db else { return [] }
                let sql = "SELECT \(SpoolOutcome.columns(state)) WHERE \(condition)"
                return try Row.fetchAll(db, sql: sql, arguments: arguments).map { SpoolOutcome(state, $0) }
            }
        }
    }
}
