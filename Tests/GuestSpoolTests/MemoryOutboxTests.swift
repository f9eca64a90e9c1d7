import GuestSpool
import Notifications
import Testing

@Suite struct MemoryOutboxTests {
    private let context = NotificationContext(
        operation: "user_create", requestID: "r", tenantID: "t", clientIP: "c")

    private func report() -> OutcomeReport { OutcomeReport(context: self.context, outcome: .end(payload: [:])) }

    private func fill(_ outbox: MemoryOutbox, _ count: Int) async throws -> [OutcomeReport] {
        var reports: [OutcomeReport] = []
        for _ in 0..<count {
            let report = self.report()
            try await outbox.begin(BegunOperation(messageID: report.messageID, context: self.context))
            try await outbox.finish(report)
            reports.append(report)
        }
        return reports
    }

    @Test func entriesComeInOrderAfterAPlace() async throws {
        let outbox = MemoryOutbox()
        let reports = try await self.fill(outbox, 5)
        let entries = try await outbox.entries(after: 0, limit: 3)
        #expect(entries.map(\.report) == Array(reports[..<3]))
        let rest = try await outbox.entries(after: entries[2].sequence, limit: 10)
        #expect(rest.map(\.report) == Array(reports[3...]))
        #expect(try await outbox.entries(after: 5, limit: 10).isEmpty)
    }

    @Test func theLedgerBalances() async throws {
        let outbox = MemoryOutbox()
        _ = try await self.fill(outbox, 4)
        try await outbox.begin(BegunOperation(messageID: MessageID(), context: self.context))
        let entries = try await outbox.entries(after: 0, limit: 10)
        try await outbox.remove([entries[0].sequence, entries[2].sequence])
        try await outbox.remove([entries[0].sequence])
        try await outbox.setAside(entries[1].sequence, reason: "unknown event")
        let counts = try await outbox.counts()
        #expect(counts.begun == 5)
        #expect((counts.running, counts.waiting, counts.delivered, counts.setAside) == (1, 1, 2, 1))
        #expect(try await outbox.entries(after: 0, limit: 10) == [entries[3]])
        #expect(outbox.setAside.map(\.reason) == ["unknown event"])
    }

    @Test func roomIsReservedWhenAnOperationBegins() async throws {
        let outbox = MemoryOutbox(capacity: 2)
        let reports = [self.report(), self.report()]
        for report in reports {
            try await outbox.begin(BegunOperation(messageID: report.messageID, context: self.context))
        }
        let error = await #expect(throws: OutboxError.self) {
            try await outbox.begin(BegunOperation(messageID: MessageID(), context: self.context))
        }
        #expect(error?.code == .full)
        for report in reports { try await outbox.finish(report) }
        try await outbox.remove([1])
        try await outbox.begin(BegunOperation(messageID: MessageID(), context: self.context))
    }

    @Test func anOperationEndsOnce() async throws {
        let outbox = MemoryOutbox()
        let report = try await self.fill(outbox, 1)[0]
        let error = await #expect(throws: OutboxError.self) { try await outbox.finish(report) }
        #expect(error?.code == .notBegun)
    }
}
