// SPDX-License-Identifier: Apache-2.0

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

    @Test("Entries are returned in order, after the given sequence number")
    func entriesAfterSequence() async throws {
        let outbox = MemoryOutbox()
        let reports = try await self.fill(outbox, 5)
        let entries = try await outbox.entries(after: 0, limit: 3)
        #expect(entries.map(\.report) == Array(reports[..<3]))
        let rest = try await outbox.entries(after: entries[2].sequence, limit: 10)
        #expect(rest.map(\.report) == Array(reports[3...]))
        #expect(try await outbox.entries(after: 5, limit: 10).isEmpty)
    }

    @Test("The counts add up after deliveries, a repeated removal and a set-aside outcome")
    func countsBalance() async throws {
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

    @Test("Another guest's certificate sets outcomes aside; one in flight counts as delivered")
    func anotherGuestsCertificate() async throws {
        let outbox = MemoryOutbox()
        outbox.setGuest(["guest-1", "other name of guest-1"])
        let reports = try await self.fill(outbox, 3)
        let entries = try await outbox.entries(after: 0, limit: 10)
        outbox.setGuest(["guest-1 renewed", "guest-1"])
        #expect(try await outbox.entries(after: 0, limit: 10) == entries)
        outbox.setGuest(["guest-2"])
        #expect(try await outbox.entries(after: 0, limit: 10).isEmpty)
        #expect(outbox.setAside.map(\.report) == reports)
        #expect(outbox.setAside.allSatisfy { $0.reason.contains("named guest-1 renewed, and now names guest-2") })
        try await outbox.remove([entries[1].sequence, entries[1].sequence])
        let counts = try await outbox.counts()
        #expect(counts.delivered == 1 && counts.setAside == 2 && counts.waiting == 0 && counts.isBalanced)
        #expect(outbox.setAside.map(\.report) == [reports[0], reports[2]])
        let later = try await self.fill(outbox, 1)
        #expect(try await outbox.entries(after: 0, limit: 10).map(\.report) == later)
    }

    @Test("Capacity for an outcome is reserved when its operation begins")
    func reservedCapacity() async throws {
        let outbox = MemoryOutbox(capacity: 2)
        let reports = [self.report(), self.report()]
        for report in reports {
            try await outbox.begin(BegunOperation(messageID: report.messageID, context: self.context))
        }
        let error = await #expect(throws: OutboxError.self) {
            try await outbox.begin(BegunOperation(messageID: MessageID(), context: self.context))
        }
        #expect(error?.code == .full)
        #expect(try await outbox.counts().refused == 1)
        for report in reports { try await outbox.finish(report) }
        try await outbox.remove([1])
        try await outbox.begin(BegunOperation(messageID: MessageID(), context: self.context))
    }

    @Test("Beginning a running operation again is rejected, and the counts balance")
    func beginTwice() async throws {
        let outbox = MemoryOutbox()
        let operation = BegunOperation(messageID: MessageID(), context: self.context)
        try await outbox.begin(operation)
        let error = await #expect(throws: OutboxError.self) { try await outbox.begin(operation) }
        #expect(error?.code == .alreadyBegun)
        let counts = try await outbox.counts()
        #expect(counts.begun == 1 && counts.running == 1 && counts.isBalanced)
    }

    @Test("Finishing an operation a second time is rejected")
    func finishTwice() async throws {
        let outbox = MemoryOutbox()
        let report = try await self.fill(outbox, 1)[0]
        let error = await #expect(throws: OutboxError.self) { try await outbox.finish(report) }
        #expect(error?.code == .notBegun)
    }
}
