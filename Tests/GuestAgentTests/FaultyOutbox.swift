import GuestSpool
import NIOConcurrencyHelpers
import Notifications

/// An outbox that behaves as one on a disk may: some removals fail, and a cancelled task gets nothing done.
final class FaultyOutbox: Outbox {
    struct DiskError: Error {}

    private let outbox: any Outbox
    private let failingRemovals: NIOLockedValueBox<Int>

    init(over outbox: any Outbox, failingRemovals: Int = 0) {
        self.outbox = outbox
        self.failingRemovals = NIOLockedValueBox(failingRemovals)
    }

    func begin(_ operation: BegunOperation) async throws {
        try Task.checkCancellation()
        try await self.outbox.begin(operation)
    }

    func finish(_ report: OutcomeReport) async throws {
        try Task.checkCancellation()
        try await self.outbox.finish(report)
    }

    func entries(after sequence: Int64, limit: Int) async throws -> [OutboxEntry] {
        try Task.checkCancellation()
        return try await self.outbox.entries(after: sequence, limit: limit)
    }

    func remove(_ sequences: [Int64]) async throws {
        let fails = self.failingRemovals.withLockedValue { failures in
            failures -= 1
            return failures >= 0
        }
        if fails { throw DiskError() }
        try await self.outbox.remove(sequences)
    }

    func setAside(_ sequence: Int64, reason: String) async throws {
        try await self.outbox.setAside(sequence, reason: reason)
    }

    func counts() async throws -> OutboxCounts { try await self.outbox.counts() }
}
