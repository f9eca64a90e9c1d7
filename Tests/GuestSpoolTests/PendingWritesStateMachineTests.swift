// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Notifications
import Testing

@testable import GuestSpool

@Suite struct PendingWritesStateMachineTests {
    private let context = NotificationContext(
        operation: "database_create", requestID: "req-1", tenantID: "tenant-1", clientIP: "192.0.2.7", payload: [:])

    private func begin() -> SpoolChange { .begin(.init(.init(messageID: MessageID(), context: self.context))) }

    private func finish() -> SpoolChange {
        .finish(.init(OutcomeReport(context: self.context, outcome: .end(payload: [:]), messageID: MessageID())))
    }

    private func pending(_ changes: [SpoolChange], deadline: DispatchTime = .distantFuture) -> PendingWritesStateMachine
    {
        var pending = PendingWritesStateMachine()
        for change in changes { pending.append(SpoolWrite(change, nil, deadline: deadline)) }
        return pending
    }

    @Test("Writes that need no sync are taken first, in a batch of their own")
    func unsyncedWritesFirst() {
        var pending = self.pending([self.finish(), self.begin(), self.finish(), self.begin()])
        #expect(pending.startBatch().map(\.change.needsSync) == [false, false])
        #expect(pending.startBatch().map(\.change.needsSync) == [true, true])
        #expect(pending.startBatch().isEmpty && pending.isEmpty)
    }

    @Test("Outcomes are taken after a few batches, however many operations begin")
    func outcomesNotStarved() {
        var pending = self.pending([self.finish()])
        var turns = 0
        repeat {
            pending.append(SpoolWrite(self.begin(), nil, deadline: .distantFuture))
            turns += 1
        } while turns < 100 && pending.startBatch().first?.change.needsSync == false
        #expect(turns == 5)
        // The operations that began meanwhile are taken next.
        #expect(pending.startBatch().map(\.change.needsSync) == [false])
    }

    @Test("Unsynced transactions with a pause between them do not count against later ones")
    func pauseResetsCount() {
        var pending = PendingWritesStateMachine()
        for _ in 0..<4 {
            pending.append(SpoolWrite(self.begin(), nil, deadline: .distantFuture))
            #expect(pending.startBatch().count == 1)
            pending.endBatch()
        }
        pending.append(SpoolWrite(self.finish(), nil, deadline: .distantFuture))
        pending.append(SpoolWrite(self.begin(), nil, deadline: .distantFuture))
        #expect(pending.startBatch().map(\.change.needsSync) == [false])
    }

    @Test("Outcomes are taken before beginnings when a sync is overdue, and beginnings when there are none")
    func outcomesFirstWhenSyncIsOverdue() {
        var pending = self.pending([self.begin(), self.finish()])
        #expect(pending.startBatch(isSyncOverdue: true).map(\.change.needsSync) == [true])
        #expect(pending.startBatch(isSyncOverdue: true).map(\.change.needsSync) == [false])
    }

    @Test("A batch is limited to 512 writes, and the oldest writes are taken first")
    func batchSizeLimit() {
        let changes = (0..<700).map { _ in self.finish() }
        var pending = self.pending(changes)
        let batches = [pending.startBatch(), pending.startBatch(), pending.startBatch()]
        #expect(batches.map(\.count) == [512, 188, 0])
        let ids = batches.joined().compactMap { write -> String? in
            if case .finish(let finish) = write.change { finish.messageID } else { nil }
        }
        #expect(ids == changes.compactMap { if case .finish(let finish) = $0 { finish.messageID } else { nil } })
    }

    @Test("A transaction accepts later writes of its kind, up to the size limit")
    func takeMoreWrites() {
        var pending = self.pending([self.begin()])
        #expect(pending.startBatch().count == 1)
        #expect(pending.extendBatch().isEmpty)
        for change in [self.finish(), self.begin(), self.finish(), self.begin()] {
            pending.append(SpoolWrite(change, nil, deadline: .distantFuture))
        }
        #expect(pending.extendBatch().map(\.change.needsSync) == [false, false])
        #expect(pending.extendBatch().isEmpty)
        #expect(pending.startBatch().map(\.change.needsSync) == [true, true])
        for _ in 0..<600 { pending.append(SpoolWrite(self.finish(), nil, deadline: .distantFuture)) }
        #expect([pending.extendBatch().count, pending.extendBatch().count] == [510, 0])
        #expect(pending.startBatch().count == 90 && pending.isEmpty)
    }

    @Test("Held beginnings block no other write, and keep their order when they are released")
    func heldBeginnings() {
        func ids(_ writes: [SpoolWrite]) -> [String] {
            writes.compactMap { write in
                if case .begin(let begin) = write.change { return begin.messageID }
                return nil
            }
        }
        let begins = (0..<4).map { _ in self.begin() }
        var pending = self.pending([begins[0], .remove([1])])
        pending.holdBeginnings()
        for change in [begins[1], self.finish(), .remove([2])] {
            pending.append(SpoolWrite(change, nil, deadline: .init(uptimeNanoseconds: 5)))
        }
        #expect(pending.startBatch().count == 2 && pending.extendBatch().isEmpty)
        #expect(pending.startBatch().map(\.change.needsSync) == [true])
        #expect(pending.startBatch().isEmpty && pending.count == 2 && !pending.isEmpty)
        pending.append(SpoolWrite(begins[2], nil, deadline: .distantFuture))
        #expect(pending.removeOverdueHeld(.init(uptimeNanoseconds: 5)).count == 1)
        #expect(pending.removeOverdue(.init(uptimeNanoseconds: 5)).isEmpty)
        pending.releaseBeginnings()
        pending.append(SpoolWrite(begins[3], nil, deadline: .distantFuture))
        #expect(
            ids(pending.startBatch())
                == [begins[0], begins[2], begins[3]].flatMap { ids([SpoolWrite($0, nil, deadline: .now())]) })
        pending.holdBeginnings()
        pending.append(SpoolWrite(begins[1], nil, deadline: .distantFuture))
        #expect(pending.removeHeld().count == 1 && pending.isEmpty && pending.isHolding)
    }

    @Test("Overdue writes are taken out, and the other writes stay pending")
    func overdueWrites() {
        var pending = self.pending([self.finish(), self.begin()], deadline: .init(uptimeNanoseconds: 5))
        pending.append(SpoolWrite(self.begin(), nil, deadline: .init(uptimeNanoseconds: 7)))
        #expect(pending.removeOverdue(.init(uptimeNanoseconds: 4)).isEmpty)
        #expect(pending.removeOverdue(.init(uptimeNanoseconds: 5)).count == 2)
        #expect(pending.count == 1 && pending.startBatch().count == 1)
    }
}
