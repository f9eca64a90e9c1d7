// SPDX-License-Identifier: Apache-2.0

import Dispatch
import GRDB
import NIOConcurrencyHelpers

extension SpoolFile {
    /// Reads the whole file and checks it. The check takes as long as the disk needs to read the file, blocks no other
    /// work, and ends when its task is cancelled.
    ///
    /// - Returns: the damage; nil if there is none, or if the file could not be read for another reason.
    func damage() async throws -> DatabaseError? {
        let path = self.directory.file
        var settings = GRDB.Configuration()
        settings.readonly = true
        settings.label = "guest-spool.verify"
        // The check has a separate connection, so that readers of outcomes need not wait.
        let database: DatabaseQueue
        do {
            database = try DatabaseQueue(path: path, configuration: settings)
        } catch {
            // Opening the database reads from the file, and so can find damage.
            return SpoolFailure(error) == .damage ? error as? DatabaseError : nil
        }
        let isCancelled = NIOLockedValueBox(false)
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                DispatchQueue.global(qos: .utility).async {
                    // A read that has not begun cannot be interrupted.
                    let result = Result {
                        try database.read { isCancelled.withLockedValue { $0 } ? nil : try Self.damage($0) }
                    }
                    try? database.close()
                    switch result {
                    case .success(let damage): continuation.resume(returning: damage)
                    case .failure(let error) where SpoolFailure(error) == .damage:
                        continuation.resume(returning: error as? DatabaseError)
                    case .failure: continuation.resume(returning: nil)
                    }
                }
            }
        } onCancel: {
            isCancelled.withLockedValue { $0 = true }
            database.interrupt()
        }
    }

    private static func damage(_ db: Database) throws -> DatabaseError? {
        let found = try String.fetchOne(db, sql: "PRAGMA quick_check(1)") ?? "ok"
        if found != "ok" { return SpoolFailure.damage(found) }
        let tally = try SpoolTally(db)
        // All reads are in one transaction, so that changes by other writers in between are not visible.
        let counts = [
            "running": tally.counts.running, "waiting": tally.counts.waiting, "set_aside": tally.counts.setAside,
        ]
        for (table, expected) in counts {
            let count = try Int.fetchOne(db, sql: "SELECT count(*) FROM \(table)") ?? 0
            if count != expected {
                return SpoolFailure.damage("the tally says \(expected) for \(table), which has \(count) rows")
            }
        }
        // The count uses the index, as delivery does: delivery never finds an outcome that the index lists as neither
        // an end nor an error.
        let lost = "SELECT count(*) FROM waiting INDEXED BY waiting_by_phase WHERE phase NOT IN ('end', 'error')"
        if let count = try Int.fetchOne(db, sql: lost), count > 0 {
            return SpoolFailure.damage("\(count) outcomes wait as neither an end nor an error")
        }
        return nil
    }
}
