// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestSpool
import LogTesting
import Notifications
import Testing

/// Both outboxes return ends and errors separately, each oldest first.
@Suite struct EntriesByPhaseTests {
    private let context = NotificationContext(
        operation: "user_create", requestID: "r", tenantID: "t", clientIP: "c")

    private func check(_ outbox: any Outbox) async throws {
        var ends: [MessageID] = []
        var errors: [MessageID] = []
        for index in 0..<9 {
            let isError = index % 3 == 1
            let outcome: OperationOutcome =
                isError ? .error(ExceptionInfo(etype: "E", value: "v"), payload: [:]) : .end(payload: [:])
            let report = OutcomeReport(context: self.context, outcome: outcome)
            try await outbox.begin(BegunOperation(messageID: report.messageID, context: self.context))
            try await outbox.finish(report)
            if isError { errors.append(report.messageID) } else { ends.append(report.messageID) }
        }
        let all = try await outbox.entries(after: 0, limit: 100)
        #expect(all.map(\.sequence) == all.map(\.sequence).sorted())
        #expect(Set(all.map(\.report.messageID)) == Set(ends + errors))
        #expect(try await outbox.entries(nil, after: 0, limit: 4) == Array(all.prefix(4)))
        #expect(try await outbox.entries(.end, after: 0, limit: 100).map(\.report.messageID) == ends)
        #expect(try await outbox.entries(.start, after: 0, limit: 100).isEmpty)
        let first = try await outbox.entries(.error, after: 0, limit: 2)
        #expect(first.map(\.report.messageID) == Array(errors.prefix(2)))
        let rest = try await outbox.entries(.error, after: first.last?.sequence ?? 0, limit: 2)
        #expect(rest.map(\.report.messageID) == Array(errors.dropFirst(2)))
        try await outbox.remove(all.map(\.sequence))
        // Removed once more, as after a failure: ignored.
        try await outbox.remove(all.map(\.sequence))
        try await outbox.setAside(all[0].sequence, reason: "too late")
        for phase in [nil, .end, .error] as [OperationPhase?] {
            #expect(try await outbox.entries(phase, after: 0, limit: 100).isEmpty)
        }
        let counts = try await outbox.counts()
        #expect(counts.isBalanced && counts.delivered == 9 && counts.setAside == 0)
    }

    @Test("The memory outbox returns ends and errors separately, oldest first")
    func inMemory() async throws { try await self.check(MemoryOutbox()) }

    @Test("The spool returns ends and errors separately, oldest first")
    func onDisk() async throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "spool-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let spool = try await Spool.open(directory, logger: .quiet)
        try await self.check(spool)
        try await spool.close()
    }
}
