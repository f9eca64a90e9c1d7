// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Foundation
import GRDB
import LogTesting
import Logging
import Notifications
import SecureFiles
import Testing

@testable import GuestSpool

extension SpoolDirectory {
    /// Returns the size of a file in bytes, or nil when there is no file.
    static func size(_ path: String) -> Int? { (try? FileStatus.of(path))?.size }
}

/// A spool directory that is removed after the test, with the helpers that tests use.
struct SpoolFixture: Sendable {
    let directory: String
    let log = LogRecorder()
    let context = NotificationContext(operation: "user_create", requestID: "r", tenantID: "t", clientIP: "c")

    static func with(_ body: (SpoolFixture) async throws -> Void) async throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "spool-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try await body(SpoolFixture(directory: directory))
    }

    var file: String { "\(self.directory)/spool.sqlite" }
    /// The reports of damaged files; empty when there is no spool.
    var damages: [DamagedSpoolFile] { (try? DamagedSpoolFile.all(in: self.directory)) ?? [] }

    func open(_ configuration: Spool.Configuration = Spool.Configuration()) async throws -> Spool {
        try await Spool.open(self.directory, configuration: configuration, logger: self.log.logger)
    }

    func report(_ text: String = "i", id: MessageID = MessageID()) -> OutcomeReport {
        OutcomeReport(context: self.context, outcome: .end(payload: ["instance_id": .string(text)]), messageID: id)
    }

    func begin(_ spool: Spool, _ id: MessageID = MessageID()) async throws -> MessageID {
        try await spool.begin(BegunOperation(messageID: id, context: self.context))
        return id
    }

    @discardableResult
    func run(_ spool: Spool, _ text: String = "i") async throws -> OutcomeReport {
        let report = self.report(text)
        _ = try await self.begin(spool, report.messageID)
        try await spool.finish(report)
        return report
    }

    /// Fills a spool with this many waiting outcomes, and closes it.
    func fill(_ count: Int, _ text: String = "i") async throws -> [OutcomeReport] {
        let spool = try await self.open()
        let reports = try await withThrowingTaskGroup(of: OutcomeReport.self) { group in
            for _ in 0..<count { group.addTask { try await self.run(spool, text) } }
            for try await _ in group {}
            return try await spool.entries(after: 0, limit: count).map(\.report)
        }
        try await spool.close()
        return reports
    }

    /// The creation time of the spool's file.
    var made: String? {
        get throws { try CheckedDirectory(self.directory, for: .reading).made(SpoolDirectory.file) }
    }

    /// Waits until a new file has another creation time than the spool's: a file system's clock ticks rarely.
    func waitForClockTick() throws {
        let made = try #require(try self.made, "this file system does not say when a file was made")
        let other = SpoolFixture(directory: "\(self.directory).tick")
        try FileManager.default.createDirectory(atPath: other.directory, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: other.directory) }
        while try other.made == nil || other.made == made {
            try? FileManager.default.removeItem(atPath: other.file)
            try #require(FileManager.default.createFile(atPath: other.file, contents: nil))
        }
    }

    /// Changes the file without the spool's knowledge, over a connection of its own.
    func change(_ sql: String) throws {
        let database = try DatabaseQueue(path: self.file)
        try database.write { try $0.execute(sql: sql) }
        try database.close()
    }

    /// Overwrites pages of the database file that hold this text.
    ///
    /// - Parameter choose: selects among the pages' numbers; the first page's number is 0.
    func garble(pagesWith text: String, choose: ([Int]) -> [Int]) throws {
        var data = try #require(FileManager.default.contents(atPath: self.file))
        let pattern = Data(text.utf8)
        let pages = stride(from: 0, to: data.count, by: 4096).filter { data[$0..<$0 + 4096].range(of: pattern) != nil }
            .map { $0 / 4096 }
        let chosen = choose(pages)
        #expect(!chosen.isEmpty)
        for page in chosen {
            data.replaceSubrange(page * 4096..<(page + 1) * 4096, with: Data(repeating: 0xa5, count: 4096))
        }
        let handle = try FileHandle(forWritingTo: URL(filePath: self.file))
        for page in chosen {
            try handle.seek(toOffset: UInt64(page * 4096))
            try handle.write(contentsOf: data[page * 4096..<(page + 1) * 4096])
        }
        try handle.close()
    }

    /// Holds the spool's writes back until the body has requested this many, so that they form one batch.
    ///
    /// - Parameter meanwhile: runs while they are held back.
    func together(
        _ spool: Spool, _ count: Int, _ body: @Sendable (inout ThrowingTaskGroup<Void, any Error>) -> Void,
        meanwhile: () async throws -> Void = {}
    ) async throws {
        let gate = DispatchSemaphore(value: 0)
        await withCheckedContinuation { held in
            spool.store.writing.async {
                held.resume()
                gate.wait()
            }
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            body(&group)
            while spool.writer.pendingCount < count { await Task.yield() }
            let result: Result<Void, any Error>
            do { result = .success(try await meanwhile()) } catch { result = .failure(error) }
            gate.signal()
            try result.get()
            try await group.waitForAll()
        }
    }

    func messageIDs(_ spool: Spool) async throws -> [MessageID] {
        try await spool.entries(after: 0, limit: 100_000).map(\.report.messageID)
    }

    /// Returns whether the tally has the counts and bytes of the running and waiting rows in the tables.
    func tallyAgrees(_ spool: Spool) async throws -> Bool {
        try await spool.store.read { db in
            let tally = try SpoolTally(db)
            let sql = "SELECT count(*), coalesce(sum(length(CAST("
            let running = try Row.fetchOne(db, sql: "\(sql)context AS BLOB))), 0) FROM running")
            let waiting = try Row.fetchOne(db, sql: "\(sql)report AS BLOB))), 0) FROM waiting")
            guard let running, let waiting else { return false }
            return tally.counts.running == running[0] && tally.counts.waiting == waiting[0]
                && tally.bytes == (running[1] as Int) + (waiting[1] as Int)
        }
    }
}
