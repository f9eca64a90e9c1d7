// SPDX-License-Identifier: Apache-2.0

import BenchmarkFigures
import Foundation
import GuestSpool
import Logging
import Notifications
import PlainSQLite

/// The result of one measurement.
struct Figure {
    /// The number of outcomes a second.
    var rate: Double
    /// The microseconds of processor time for an outcome, on all threads.
    var processor: Double

    /// - Parameters:
    ///   - body: runs the work, and returns the number of outcomes on the disk at the end.
    init(_ body: () async throws -> Int) async throws {
        let (start, processor) = (ContinuousClock.now, ProcessorTime.own())
        let count = Double(try await body())
        let time = ContinuousClock.now - start
        self.rate = count / (time / .seconds(1))
        self.processor = (ProcessorTime.own() - processor) / count
    }
}

/// A way to keep outcomes.
protocol MeasuredStore: Sendable {
    /// The name in the table.
    var name: String { get }
    /// Keeps outcomes in a directory that it creates, for about this long.
    func measure(_ path: String, for time: Duration) async throws -> Figure
}

/// The data that all of them keep: an operation whose context and outcome are as large as Trove's.
enum Subject {
    static let context = NotificationContext(
        operation: "database_create", requestID: "req-9b1a3f1c-6d0b-4b7e-9d53-3f1f0c7a55aa",
        tenantID: "8a5f3ce8d1c14c0fae5c1c5b0c7a55aa", clientIP: "192.0.2.7",
        payload: [
            "instance_id": "2f4a9c1e-6d0b-4b7e-9d53-3f1f0c7a55aa", "instance_name": "shop-1",
            "dbname": ["shop", "stock"],
        ])

    static func report(_ messageID: MessageID) -> OutcomeReport {
        OutcomeReport(context: Self.context, outcome: .end(payload: ["bytes": 123_456_789]), messageID: messageID)
    }

    static func logger() -> Logger {
        var logger = Logger(label: "spool") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = .error
        return logger
    }

    /// Never full, because only time is measured.
    static func open(_ path: String) async throws -> Spool {
        var configuration = Spool.Configuration()
        configuration.maximumCount = .max
        configuration.maximumBytes = .max
        return try await Spool.open(path, configuration: configuration, logger: Self.logger())
    }
}

/// The spool with concurrent callers: each begins an operation, waits, ends it, waits until the outcome is on the disk,
/// and begins the next.
struct DurableSpoolStore: MeasuredStore {
    let concurrency: Int
    var name: String { "spool-\(self.concurrency)" }

    func measure(_ path: String, for time: Duration) async throws -> Figure {
        let spool = try await Subject.open(path)
        let figure = try await Figure {
            let end = ContinuousClock.now + time
            return try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<self.concurrency {
                    group.addTask {
                        var count = 0
                        while .now < end {
                            let messageID = MessageID()
                            try await spool.begin(BegunOperation(messageID: messageID, context: Subject.context))
                            try await spool.finish(Subject.report(messageID))
                            count += 1
                        }
                        return count
                    }
                }
                return try await group.reduce(0, +)
            }
        }
        try await spool.close()
        return figure
    }
}

/// SQLite alone, on one thread: the same tables, statements and bytes, which are created beforehand. Several operations
/// are in the two transactions that the spool needs for one.
struct PlainSQLiteStore: MeasuredStore {
    let count: Int
    var name: String { "plain-\(self.count)" }

    private struct Failure: Error, CustomStringConvertible { let description: String }

    func measure(_ path: String, for time: Duration) async throws -> Figure {
        // The spool creates its own tables, so that they are the same.
        try await Subject.open(path).close()
        let file = plain_sqlite_open("\(path)/spool.sqlite")
        defer { plain_sqlite_close(file) }
        if let message = plain_sqlite_message(file) { throw Failure(description: String(cString: message)) }
        let context = JSONWriter.encode(.object(Subject.context.json))
        let report = JSONWriter.encode(.object(Subject.report(MessageID()).json))
        let begunAt = NotificationTimestamp.now().description
        return try await Figure {
            let end = ContinuousClock.now + time
            var written = 0
            while .now < end {
                guard
                    plain_sqlite_write(
                        file, Int32(self.count), begunAt, context, context.count, report, report.count) == 0
                else {
                    let message = plain_sqlite_message(file).map { String(cString: $0) }
                    throw Failure(description: message ?? "SQLite failed")
                }
                written += self.count
            }
            return written
        }
    }
}
