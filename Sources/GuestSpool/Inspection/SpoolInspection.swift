import Foundation
import GRDB
public import Notifications

/// Looks into a spool, whether an agent uses it or not, and changes nothing: no lock is taken, and operations that an
/// agent left running stay as they are.
public struct SpoolInspection: Sendable {
    private let directory: SpoolDirectory

    /// - Parameter path: the spool's directory, as ``Spool/open(_:configuration:logger:)`` was given it.
    public init(_ path: String) { self.directory = SpoolDirectory(path: path) }

    /// What the spool holds and has seen.
    ///
    /// - Throws: ``OutboxError``, with ``OutboxError/Code/noSpool`` when there is none in the directory.
    public func overview() async throws -> SpoolOverview {
        let directory = self.directory
        return try await directory.blocking {
            var overview = try SpoolReader(directory: directory).read { try SpoolOverview(directory, $0) }
            let opened = try directory.openForReading()
            overview.holder = SpoolHolder(directory, in: opened)
            if try directory.isBeingRepaired(opened) { overview.mustBeOpened = true }
            overview.damagedFiles = try SpoolDamage.all(in: directory, opened).map {
                DamagedSpoolFile(name: URL(fileURLWithPath: $0.path).lastPathComponent, reason: $0.reason)
            }
            return overview
        }
    }

    /// Outcomes of one state, oldest first.
    ///
    /// - Parameters:
    ///   - state: which.
    ///   - sequence: only later ones; 0 for all.
    ///   - limit: how many at most.
    /// - Throws: ``OutboxError``, with ``OutboxError/Code/noSpool`` when there is none in the directory.
    public func outcomes(
        _ state: SpoolOutcome.State, after sequence: Int64 = 0, limit: Int
    ) async throws -> [SpoolOutcome] {
        try await self.select(state, "sequence > ? ORDER BY sequence LIMIT ?", [sequence, limit])
    }

    /// The outcome of this message, if it waits or was set aside.
    ///
    /// - Throws: ``OutboxError``, with ``OutboxError/Code/noSpool`` when there is none in the directory.
    public func outcome(_ messageID: MessageID) async throws -> SpoolOutcome? {
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
