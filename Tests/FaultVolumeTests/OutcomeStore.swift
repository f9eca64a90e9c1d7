// SPDX-License-Identifier: Apache-2.0

import Foundation
import GRDB
import GuestSpool
import Logging
import Notifications

/// Something that says of an outcome that it is safe.
protocol OutcomeStore: Sendable {
    /// Opens what lies in the directory.
    static func open(_ directory: String) async throws -> Self
    /// Runs an operation that does nothing; when this returns its outcome is said to be on the disk.
    func take() async throws -> String
    /// The message ids of all outcomes that are there.
    func all() async throws -> Set<String>
    /// Lets go of the files, also when the disk below them is gone.
    func close() async
}

/// The guest's own spool.
final class SpoolStore: OutcomeStore {
    private static let context = NotificationContext(
        operation: "user_create", requestID: "r", tenantID: "t", clientIP: "c")
    private let spool: Spool

    private init(_ spool: Spool) { self.spool = spool }

    static func open(_ directory: String) async throws -> Self {
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        return Self(try await Spool.open("\(directory)/spool", logger: logger))
    }

    func take() async throws -> String {
        let report = OutcomeReport(context: Self.context, outcome: .end(payload: JSONObject()))
        try await self.spool.begin(BegunOperation(messageID: report.messageID, context: Self.context))
        try await self.spool.finish(report)
        return report.messageID.description
    }

    /// Without those that the power cut interrupted.
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

/// A store that breaks its word: SQLite with `synchronous = OFF` commits to the system's cache.
final class UnsyncedStore: OutcomeStore {
    private let database: DatabasePool

    private init(_ database: DatabasePool) { self.database = database }

    static func open(_ directory: String) async throws -> Self {
        var configuration = GRDB.Configuration()
        configuration.prepareDatabase { try $0.execute(sql: "PRAGMA synchronous = OFF") }
        let database = try DatabasePool(path: "\(directory)/unsynced.sqlite", configuration: configuration)
        try await database.write { try $0.execute(sql: "CREATE TABLE IF NOT EXISTS outcomes (id TEXT PRIMARY KEY)") }
        // The tables themselves are to be there, so that only outcomes are missed.
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
