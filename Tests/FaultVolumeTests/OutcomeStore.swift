// SPDX-License-Identifier: Apache-2.0

import Foundation
import GRDB
import GuestSpool
import LogTesting
import Logging
import Notifications

/// A store that reports when an outcome is safe.
protocol OutcomeStore: Sendable {
    /// Opens the store in the directory.
    static func open(_ directory: String) async throws -> Self
    /// Runs an operation that does nothing. When this returns, the store has reported that its outcome is on the disk.
    func take() async throws -> String
    /// Returns the message ids of all stored outcomes.
    func all() async throws -> Set<String>
    /// Closes the files, even if the disk below them is gone.
    func close() async
}

/// The guest's own spool.
final class SpoolStore: OutcomeStore {
    private static let context = NotificationContext(
        operation: "user_create", requestID: "r", tenantID: "t", clientIP: "c")
    private let spool: Spool

    private init(_ spool: Spool) { self.spool = spool }

    static func open(_ directory: String) async throws -> Self {
        let logger = Logger.quiet
        return Self(try await Spool.open("\(directory)/spool", logger: logger))
    }

    func take() async throws -> String {
        let report = OutcomeReport(context: Self.context, outcome: .end(payload: JSONObject()))
        try await self.spool.begin(BegunOperation(messageID: report.messageID, context: Self.context))
        try await self.spool.finish(report)
        return report.messageID.description
    }

    /// Leaves out the operations that the power cut interrupted.
    func all() async throws -> Set<String> {
        var found: Set<String> = []
        var last: Int64 = 0
        while case let entries = try await self.spool.entries(after: last, limit: 500), let end = entries.last {
            for entry in entries {
                guard case .end = entry.report.outcome else { continue }
                found.insert(entry.report.messageID.description)
            }
            last = end.sequence
        }
        return found
    }

    func close() async { try? await self.spool.close() }
}

/// A store that breaks its promise: SQLite with `synchronous = OFF` commits to the system's cache.
final class UnsyncedStore: OutcomeStore {
    private let database: DatabasePool

    private init(_ database: DatabasePool) { self.database = database }

    static func open(_ directory: String) async throws -> Self {
        var configuration = GRDB.Configuration()
        configuration.prepareDatabase { try $0.execute(sql: "PRAGMA synchronous = OFF") }
        let database = try DatabasePool(path: "\(directory)/unsynced.sqlite", configuration: configuration)
        try await database.write { try $0.execute(sql: "CREATE TABLE IF NOT EXISTS outcomes (id TEXT PRIMARY KEY)") }
        // The tables themselves must be on the disk, so that only outcomes can be missing.
        _ = try await database.writeWithoutTransaction { try $0.checkpoint(.truncate) }
        try DiskFile("\(directory)/unsynced.sqlite").sync()
        return Self(database)
    }

    func take() async throws -> String {
        let id = UUID().uuidString
        try await self.database.write { try $0.execute(sql: "INSERT INTO outcomes VALUES (?)", arguments: [id]) }
        return id
    }

    func all() async throws -> Set<String> {
        try await self.database.read { Set(try String.fetchAll($0, sql: "SELECT id FROM outcomes")) }
    }

    func close() async { try? self.database.close() }
}
