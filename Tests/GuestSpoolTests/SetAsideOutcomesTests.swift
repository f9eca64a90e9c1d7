// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestSpool
import LogTesting
import Logging
import Notifications
import Testing

@Suite struct SetAsideOutcomesTests {
    private let logger = Logger.quiet
    private let context = NotificationContext(
        operation: "user_create", requestID: "r", tenantID: "t", clientIP: "c")

    /// A spool with four outcomes, of which the first three were set aside.
    private func with(_ body: (Spool, String, [MessageID]) async throws -> Void) async throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "spool-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let spool = try await Spool.open(directory, logger: self.logger)
        var ids: [MessageID] = []
        for _ in 0..<4 {
            let report = OutcomeReport(context: self.context, outcome: .end(payload: [:]))
            try await spool.begin(BegunOperation(messageID: report.messageID, context: self.context))
            try await spool.finish(report)
            ids.append(report.messageID)
        }
        for entry in try await spool.entries(after: 0, limit: 3) {
            try await spool.setAside(entry.sequence, reason: "unknown")
        }
        try await body(spool, directory, ids)
        try await spool.close()
    }

    @Test("A retried outcome waits behind the others, under its own message id")
    func retriedOutcomesWaitLast() async throws {
        try await self.with { spool, directory, ids in
            let setAside = try await SpoolInspection(directory).outcomes(.setAside, limit: 10)
            let last = try #require(try await spool.entries(after: 0, limit: 10).last)
            // While the agent has the spool open.
            let count = try await SetAsideOutcomes(directory).retry([setAside[1].sequence, setAside[0].sequence, 99])
            #expect(count == 2)
            let entries = try await spool.entries(after: last.sequence, limit: 10)
            #expect(entries.map(\.report.messageID) == [ids[1], ids[0]])
            let counts = try await spool.counts()
            #expect(counts.isBalanced && counts.waiting == 3 && counts.setAside == 1)
            // A second retry finds nothing to put back.
            #expect(try await SetAsideOutcomes(directory).retry([setAside[1].sequence]) == 0)
            // Rejected again, it is set aside again.
            try await spool.setAside(entries[0].sequence, reason: "still unknown")
            let again = try #require(try await SpoolInspection(directory).outcome(ids[1]))
            #expect(again.reason == "still unknown")
            #expect(try await SpoolInspection(directory).overview().isBalanced)
        }
    }

    @Test("An exported outcome leaves the spool and stays in the counts")
    func exportedOutcomes() async throws {
        try await self.with { spool, directory, ids in
            let setAside = try await SpoolInspection(directory).outcomes(.setAside, limit: 10)
            let bytes = try await SpoolInspection(directory).overview().bytes
            let count = try await SetAsideOutcomes(directory).export(setAside.dropLast().map(\.sequence))
            #expect(count == 2)
            let overview = try await SpoolInspection(directory).overview()
            #expect(overview.isBalanced && overview.bytes == bytes / 2)
            #expect((overview.counts.exported, overview.counts.setAside, overview.counts.waiting) == (2, 1, 1))
            #expect(try await SpoolInspection(directory).outcome(ids[0]) == nil)
            // The agent that has the spool open continues with the same counts.
            let waiting = try #require(try await spool.entries(after: 0, limit: 1).first)
            try await spool.remove([waiting.sequence])
            let counts = try await spool.counts()
            #expect(counts.isBalanced && counts.exported == 2 && counts.delivered == 1)
        }
    }

    @Test("A retry is rejected while the spool is being repaired")
    func retryDuringRepair() async throws {
        try await self.with { spool, directory, _ in
            let marker = "\(directory)/spool.sqlite.mending"
            try Data("spool.sqlite.damaged-20261121T000000Z\nreason\n".utf8).write(to: URL(fileURLWithPath: marker))
            let error = await #expect(throws: OutboxError.self) { try await SetAsideOutcomes(directory).retry([1]) }
            #expect(error?.description.contains("is being repaired") == true)
            try FileManager.default.removeItem(atPath: marker)
            #expect(try await spool.counts().setAside == 3)
        }
    }

    @Test("Retries while the agent writes lose no outcome")
    func retryWhileWriting() async throws {
        try await self.with { spool, directory, _ in
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for _ in 0..<100 {
                        let report = OutcomeReport(context: self.context, outcome: .end(payload: [:]))
                        try await spool.begin(BegunOperation(messageID: report.messageID, context: self.context))
                        try await spool.finish(report)
                    }
                }
                group.addTask {
                    for outcome in try await SpoolInspection(directory).outcomes(.setAside, limit: 10) {
                        try await SetAsideOutcomes(directory).retry([outcome.sequence])
                    }
                }
                try await group.waitForAll()
            }
            let overview = try await SpoolInspection(directory).overview()
            #expect(overview.isBalanced && overview.counts.begun == 104 && overview.counts.waiting == 104)
        }
    }
}
