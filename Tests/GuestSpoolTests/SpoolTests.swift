// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestSpool
import LogTesting
import Logging
import Notifications
import Testing

@Suite struct SpoolTests {
    private let context = NotificationContext(
        operation: "user_create", requestID: "r", tenantID: "t", clientIP: "c")
    private let logger = Logger.quiet

    private func with(_ body: (String) async throws -> Void) async throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "spool-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try await body(directory)
    }

    private func run(_ spool: Spool) async throws -> OutcomeReport {
        let report = OutcomeReport(context: self.context, outcome: .end(payload: ["instance_id": "i"]))
        try await spool.begin(BegunOperation(messageID: report.messageID, context: self.context))
        try await spool.finish(report)
        return report
    }

    @Test("Outcomes persist when a spool is closed and opened again")
    func outcomesPersist() async throws {
        try await self.with { directory in
            let first = try await Spool.open(directory, logger: self.logger)
            let reports = [try await self.run(first), try await self.run(first)]
            try await first.close()
            let second = try await Spool.open(directory, logger: self.logger)
            let entries = try await second.entries(after: 0, limit: 10)
            #expect(entries.map(\.report) == reports)
            try await second.remove([entries[0].sequence])
            try await second.setAside(entries[1].sequence, reason: "unknown event")
            let counts = try await second.counts()
            #expect(counts.isBalanced && counts.begun == 2 && counts.delivered == 1 && counts.setAside == 1)
            try await second.close()
        }
    }

    @Test("An unfinished operation is reported as interrupted at the next open")
    func unfinishedOperation() async throws {
        try await self.with { directory in
            let id = MessageID()
            let first = try await Spool.open(directory, logger: self.logger)
            try await first.begin(BegunOperation(messageID: id, context: self.context))
            try await first.close()
            let second = try await Spool.open(directory, logger: self.logger)
            let entries = try await second.entries(after: 0, limit: 10)
            #expect(entries.map(\.report.messageID) == [id])
            guard case .error(let exception, _)? = entries.first?.report.outcome else {
                Issue.record("the interrupted operation did not end in an error")
                return
            }
            #expect(exception.etype == "OperationInterrupted")
            try await second.close()
        }
    }

    @Test("A second agent is rejected, and the error names the first one's process")
    func secondAgent() async throws {
        try await self.with { directory in
            let first = try await Spool.open(directory, logger: self.logger)
            let error = await #expect(throws: OutboxError.self) {
                _ = try await Spool.open(directory, logger: self.logger)
            }
            #expect(error?.code == .inUse)
            #expect(error?.description.contains("process \(ProcessInfo.processInfo.processIdentifier)") == true)
            try await first.close()
            try await (try await Spool.open(directory, logger: self.logger)).close()
        }
    }

    @Test("All outcomes of 500 concurrent operations are recorded")
    func concurrentOperations() async throws {
        try await self.with { directory in
            let spool = try await Spool.open(directory, logger: self.logger)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<500 { group.addTask { _ = try await self.run(spool) } }
                try await group.waitForAll()
            }
            let counts = try await spool.counts()
            #expect(counts.isBalanced && counts.waiting == 500 && counts.running == 0)
            try await spool.close()
        }
    }
}
