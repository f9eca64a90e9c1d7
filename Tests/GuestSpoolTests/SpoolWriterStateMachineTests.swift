// SPDX-License-Identifier: Apache-2.0

import Dispatch
import NIOConcurrencyHelpers
import Notifications
import Testing

@testable import GuestSpool

extension SpoolWriterStateMachine {
    fileprivate static let refusal = OutboxError(.diskFull, "The disk is full.")

    @discardableResult
    fileprivate mutating func add(_ change: SpoolChange, deadline: DispatchTime = .distantFuture) throws -> Wakeup? {
        try self.enqueue(SpoolWrite(change, nil, deadline: deadline)).get().wakeup
    }

    fileprivate mutating func transaction(_ now: DispatchTime) throws -> Transaction {
        guard case .write(let transaction)? = self.startTurn(now) else {
            throw OutboxError(.failed, "the turn makes no transaction")
        }
        return transaction
    }

    /// Lets the disk accept the transaction, or refuse it, and ends the turn.
    ///
    /// - Returns: the wakeup for the next turn, the first answer, and the number of recovered outcomes.
    @discardableResult
    fileprivate mutating func end(
        _ transaction: Transaction, refused: Bool = false, _ now: DispatchTime
    ) -> (wakeup: Wakeup?, answer: Result<Void, OutboxError>?, recovered: Int) {
        let count = transaction.unwritten.count + transaction.writes.count
        var results: [Result<Void, OutboxError>] = Array(
            repeating: refused ? .failure(Self.refusal) : .success(()), count: count)
        if refused {
            self.recordFailure(refused: 0, isSyncOnly: transaction.isSyncOnly, now)
        } else {
            _ = self.recordCommit(
                isSynced: transaction.isSynced, storesOutcomes: false, refusals: 0, origin: nil, now)
        }
        let recovered = self.recordResults(of: transaction, &results, isRunning: { _ in true }, now)
        return (self.endTurn(), results.first, recovered)
    }

    /// Makes one transaction, which the disk accepts or refuses.
    @discardableResult
    fileprivate mutating func makeTransaction(
        refused: Bool = false, _ now: DispatchTime
    ) throws -> (wakeup: Wakeup?, answer: Result<Void, OutboxError>?, recovered: Int) {
        self.end(try self.transaction(now), refused: refused, now)
    }
}

@Suite struct SpoolWriterStateMachineTests {
    private let context = NotificationContext(
        operation: "database_create", requestID: "req-1", tenantID: "tenant-1", clientIP: "192.0.2.7", payload: [:])

    private func time(_ milliseconds: UInt64) -> DispatchTime { .init(uptimeNanoseconds: milliseconds * 1_000_000) }

    private func machine(_ configure: (inout Spool.Configuration) -> Void = { _ in }) -> SpoolWriterStateMachine {
        var configuration = Spool.Configuration()
        configure(&configuration)
        return SpoolWriterStateMachine(configuration: configuration, path: "/spool")
    }

    private func write(_ change: SpoolChange, deadline: DispatchTime = .distantFuture) -> SpoolWrite {
        SpoolWrite(change, nil, deadline: deadline)
    }

    private func begin() -> SpoolChange { .begin(.init(.init(messageID: MessageID(), context: self.context))) }

    private func finish(_ id: MessageID = MessageID()) -> SpoolChange {
        .finish(.init(OutcomeReport(context: self.context, outcome: .end(payload: [:]), messageID: id)))
    }

    @Test("The first change starts a turn and the checks of deadlines, and later ones join it")
    func firstChangeStartsTurn() throws {
        var machine = self.machine()
        let first = try machine.enqueue(self.write(self.begin())).get()
        #expect(first == .init(wakeup: .now, startsDeadlineChecks: true))
        let second = try machine.enqueue(self.write(self.begin())).get()
        #expect(second == .init(wakeup: nil, startsDeadlineChecks: false))
        let transaction = try machine.transaction(self.time(100))
        #expect(transaction.writes.count == 2 && !transaction.isSynced)
        try machine.add(self.begin())
        #expect(machine.extendTransaction().count == 1)
        #expect(machine.end(transaction, self.time(105)).wakeup == .at(self.time(115)))
    }

    @Test("A beginning is synced on its own after 10 ms, unless an outcome is synced before")
    func syncAfterDelay() throws {
        var machine = self.machine()
        try machine.add(self.begin())
        #expect(try machine.makeTransaction(self.time(100)).wakeup == .at(self.time(110)))
        try machine.add(self.finish())
        let outcome = try machine.transaction(self.time(105))
        #expect(outcome.isSynced)
        #expect(machine.end(outcome, self.time(106)).wakeup == nil)
        #expect(machine.recordTimer(self.time(110)) == true)
        #expect(machine.startTurn(self.time(110)) == nil && machine.endTurn() == nil)
        try machine.add(self.begin())
        #expect(try machine.makeTransaction(self.time(200)).wakeup == .at(self.time(210)))
        #expect(machine.recordTimer(self.time(210)) == true)
        let sync = try machine.transaction(self.time(210))
        #expect(sync.isSyncOnly && sync.isSynced)
        #expect(machine.end(sync, self.time(211)).wakeup == nil)
    }

    @Test("Beginnings that never pause are synced in time, even if no timer fires")
    func syncWithoutTimer() throws {
        var machine = self.machine()
        try machine.add(self.begin())
        var unsyncedSince: UInt64?
        for millisecond in UInt64(1)...500 {
            let transaction = try machine.transaction(self.time(millisecond))
            #expect(transaction.writes.count == 1)
            try machine.add(self.begin())
            #expect(machine.end(transaction, self.time(millisecond)).wakeup == .now)
            unsyncedSince = transaction.isSynced ? nil : unsyncedSince ?? millisecond
            #expect(millisecond - (unsyncedSince ?? millisecond) < 10)
        }
    }

    @Test("After a refused sync the next beginning is synced at once, and the one after it within 10 ms")
    func syncAfterRefusal() throws {
        var machine = self.machine()
        try machine.add(self.begin())
        try machine.makeTransaction(self.time(100))
        #expect(machine.recordTimer(self.time(110)) == true)
        let sync = try machine.transaction(self.time(110))
        #expect(machine.end(sync, refused: true, self.time(111)).wakeup == .at(self.time(1111)))
        #expect(try machine.add(self.begin()) == .now)
        let next = try machine.transaction(self.time(150))
        #expect(next.writes.count == 1 && next.isSynced)
        #expect(machine.end(next, self.time(151)).wakeup == nil)
        try machine.add(self.begin())
        #expect(try machine.makeTransaction(self.time(200)).wakeup == .at(self.time(210)))
    }

    @Test("A sync of its own and a retry contain no changes that arrive while they are made")
    func syncAndRetryAreNotExtended() throws {
        var machine = self.machine()
        try machine.add(self.begin())
        try machine.makeTransaction(self.time(100))
        #expect(machine.recordTimer(self.time(110)) == true)
        let sync = try machine.transaction(self.time(110))
        try machine.add(self.finish())
        #expect(sync.isSyncOnly && machine.extendTransaction().count == 0)
        #expect(machine.end(sync, self.time(111)).wakeup == .now)
        #expect(try machine.makeTransaction(refused: true, self.time(200)).wakeup == .at(self.time(1200)))
        #expect(machine.recordTimer(self.time(1200)) == true)
        let retry = try machine.transaction(self.time(1200))
        try machine.add(self.finish())
        #expect(retry.unwritten.count == 1 && machine.extendTransaction().count == 0)
        #expect(machine.end(retry, self.time(1201)).wakeup == .now)
    }

    @Test("A timer that is still set when an earlier one has fired is not set again")
    func timersAreSetOnce() throws {
        var machine = self.machine()
        try machine.add(self.finish())
        #expect(try machine.makeTransaction(refused: true, self.time(50)).wakeup == .at(self.time(1050)))
        for start in stride(from: UInt64(100), to: 900, by: 100) {
            try machine.add(self.begin())
            #expect(try machine.makeTransaction(self.time(start)).wakeup == .at(self.time(start + 10)))
            #expect(machine.recordTimer(self.time(start + 10)) == true)
            let sync = try machine.transaction(self.time(start + 10))
            #expect(sync.isSyncOnly)
            #expect(machine.end(sync, self.time(start + 11)).wakeup == nil)
        }
        #expect(machine.recordTimer(self.time(1050)) == true)
        #expect(try machine.makeTransaction(self.time(1050)).recovered == 1)
    }

    @Test("An outcome that the disk refuses is retried with exponential backoff, from 1 to 30 seconds")
    func retryWithBackoff() throws {
        var machine = self.machine()
        try machine.add(self.finish())
        var now = self.time(1000)
        var ended = try machine.makeTransaction(refused: true, now)
        guard case .failure(let error)? = ended.answer else { throw SpoolWriterStateMachine.refusal }
        #expect(error.code == .diskFull && error.description.contains("stored in memory"))
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            now = now + .seconds(seconds)
            #expect(ended.wakeup == .at(now))
            #expect(machine.recordTimer(now) == true)
            let retry = try machine.transaction(now)
            #expect(retry.unwritten.count == 1 && retry.writes.isEmpty && retry.isSynced)
            ended = machine.end(retry, refused: true, now)
        }
        now = now + .seconds(30)
        #expect(machine.recordTimer(now) == true)
        let last = try machine.makeTransaction(now)
        #expect(last.recovered == 1 && last.wakeup == nil && machine.unwritten.isEmpty)
        #expect(machine.retryBackoff == SpoolWriterStateMachine.initialBackoff)
    }

    @Test("A refused outcome joins the next outcome's transaction, but no beginning's, and is not written twice")
    func refusedOutcomeJoins() throws {
        var machine = self.machine()
        let id = MessageID()
        try machine.add(self.finish(id))
        try machine.makeTransaction(refused: true, self.time(1))
        try machine.add(self.begin())
        let beginning = try machine.transaction(self.time(2))
        #expect(beginning.unwritten.isEmpty && !beginning.isSynced)
        machine.end(beginning, self.time(2))
        try machine.add(self.finish(id))
        let again = try machine.transaction(self.time(3))
        #expect(again.unwritten.isEmpty && again.writes.count == 1)
        machine.end(again, refused: true, self.time(3))
        #expect(machine.unwritten.count == 1)
        try machine.add(self.finish())
        let other = try machine.transaction(self.time(4))
        #expect(other.unwritten.count == 1 && other.writes.count == 1)
        #expect(machine.end(other, self.time(4)).recovered == 1)
    }

    @Test("Operations that wait to begin are limited, and refusals are counted")
    func beginningsAreLimited() throws {
        var machine = self.machine { $0.maximumCount = 1 }
        try machine.add(self.begin())
        guard case .failure(let error) = machine.enqueue(self.write(self.begin())) else {
            throw SpoolWriterStateMachine.refusal
        }
        #expect(error.code == .full && error.description.contains("the disk is slow or hangs"))
        #expect(machine.refusals == 1)
        try machine.add(self.finish())
        _ = try machine.transaction(self.time(1))
        try machine.add(self.begin())
        #expect(machine.startRefusalTransfer() == 1 && machine.refusalTransfers.isInProgress)
        _ = machine.recordCommit(isSynced: false, storesOutcomes: false, refusals: 1, origin: nil, self.time(1))
        #expect(machine.refusals == 0 && !machine.refusalTransfers.isInProgress)
    }

    @Test("After the write timeout all callers fail, a beginning is dropped and an outcome is kept")
    func deadlines() throws {
        var machine = self.machine()
        let deadline = self.time(30_000)
        _ = try machine.enqueue(self.write(self.begin(), deadline: deadline)).get()
        let hanging = try machine.transaction(self.time(1))
        _ = try machine.enqueue(self.write(self.begin(), deadline: deadline)).get()
        _ = try machine.enqueue(self.write(self.finish(), deadline: deadline)).get()
        var check = machine.checkDeadlines(self.time(29_999))
        #expect(check.failures.isEmpty && check.continues)
        check = machine.checkDeadlines(deadline)
        #expect(check.failures.map(\.error.code) == [.diskSlow, .diskSlow, .diskSlow])
        // The hanging transaction is still checked.
        #expect(check.continues && check.wakeup == nil)
        #expect(machine.unwritten.count == 1 && machine.beginning == (0, 0))
        // The retry is due since long, and the turn that hung schedules it.
        let end = self.time(40_000)
        #expect(machine.end(hanging, end).wakeup == .at(self.time(31_000)))
        #expect(!machine.checkDeadlines(end).continues)
        #expect(try machine.enqueue(self.write(self.finish())).get().startsDeadlineChecks)
    }

    @Test("Changes, a claim and the release of disk space take turns")
    func kindsOfWorkTakeTurns() throws {
        var machine = self.machine()
        try machine.add(self.finish())
        _ = machine.claim(["guest-1"])
        var kinds: [String] = []
        for millisecond in UInt64(1)...6 {
            machine.isVacuumRequested = true
            if machine.pending.isEmpty { try machine.add(self.finish()) }
            switch machine.startTurn(self.time(millisecond)) {
            case .write(let transaction):
                kinds.append("write")
                machine.end(transaction, self.time(millisecond))
            case .claim(_, let progress):
                kinds.append("claim")
                #expect(machine.recordClaimProgress(progress, isDone: false).isEmpty)
                #expect(machine.endTurn() == .now)
            case .vacuum:
                kinds.append("vacuum")
                #expect(machine.endTurn() == .now)
            case nil: kinds.append("none")
            }
        }
        #expect(kinds == ["claim", "vacuum", "write", "claim", "vacuum", "write"])
    }

    @Test("Operations wait for a claim, fail when it fails, and the next one retries it")
    func claimHoldsBeginnings() throws {
        var machine = self.machine()
        #expect(machine.claim(["guest-1"]) == .now)
        let answers = NIOLockedValueBox<[OutboxError.Code?]>([])
        let waiter: SpoolWriterStateMachine.ClaimWaiter = { error in answers.withLockedValue { $0.append(error?.code) }
        }
        guard case .waiting(nil) = machine.waitForClaim(waiter) else { throw SpoolWriterStateMachine.refusal }
        try machine.add(self.begin())
        guard case .claim(_, let progress)? = machine.startTurn(self.time(1)) else {
            throw SpoolWriterStateMachine.refusal
        }
        let failed = machine.recordClaimFailure(progress)
        for waiter in failed.waiters { waiter(SpoolWriterStateMachine.refusal) }
        #expect(failed.writes.count == 1 && answers.withLockedValue { $0 } == [.diskFull])
        #expect(machine.endTurn() == nil && machine.beginning == (0, 0))
        #expect(try machine.add(self.begin()) == .now)
        guard case .claim(_, let again)? = machine.startTurn(self.time(2)) else {
            throw SpoolWriterStateMachine.refusal
        }
        #expect(again.number == progress.number)
        _ = machine.recordClaimProgress(again, isDone: true)
        #expect(machine.endTurn() == .now)
        guard case .done = machine.waitForClaim(waiter) else { throw SpoolWriterStateMachine.refusal }
        #expect(try machine.transaction(self.time(3)).writes.count == 1)
    }

    @Test("A closed spool lets no caller wait for a claim")
    func claimOfClosedSpool() throws {
        var machine = self.machine()
        _ = machine.claim(["guest-1"])
        #expect(machine.close() == true)
        guard case .claim(_, let progress)? = machine.startTurn(self.time(1)) else {
            throw SpoolWriterStateMachine.refusal
        }
        _ = machine.recordClaimFailure(progress)
        #expect(machine.endTurn() == nil)
        #expect(machine.startTurn(self.time(2)) == nil && machine.endTurn() == nil && machine.phase == .closed)
        guard case .failed(let error) = machine.waitForClaim({ _ in }) else { throw SpoolWriterStateMachine.refusal }
        #expect(error.code == .closed)
    }

    @Test("A claim of a spool that is being closed is made first, and of a closed spool it never ends")
    func claimWhileClosing() throws {
        var machine = self.machine()
        #expect(machine.close() == true)
        #expect(machine.claim(["guest-1"]) == nil)
        // No outcome of another guest is read meanwhile.
        guard case .failed = machine.waitForClaim({ _ in }) else { throw SpoolWriterStateMachine.refusal }
        guard case .claim(_, let progress)? = machine.startTurn(self.time(1)) else {
            throw SpoolWriterStateMachine.refusal
        }
        #expect(machine.recordClaimProgress(progress, isDone: true).isEmpty)
        #expect(machine.endTurn() == nil)
        guard case .done = machine.waitForClaim({ _ in }) else { throw SpoolWriterStateMachine.refusal }
        #expect(machine.startTurn(self.time(2)) == nil && machine.endTurn() == nil && machine.phase == .closed)
        _ = machine.claim(["guest-2"])
        guard case .failed = machine.waitForClaim({ _ in }) else { throw SpoolWriterStateMachine.refusal }
    }

    @Test("A claim that replaces another starts again, and its end releases the operations")
    func claimIsReplaced() throws {
        var machine = self.machine()
        _ = machine.claim(["guest-1"])
        guard case .claim(_, let first)? = machine.startTurn(self.time(1)) else {
            throw SpoolWriterStateMachine.refusal
        }
        #expect(machine.claim(["guest-2"]) == nil)
        #expect(machine.recordClaimProgress(first, isDone: true).isEmpty)
        #expect(machine.endTurn() == .now)
        guard case .claim(let claim, let second)? = machine.startTurn(self.time(2)) else {
            throw SpoolWriterStateMachine.refusal
        }
        #expect(claim.names == ["guest-2"] && second.number != first.number && second.stage == .beginning)
        _ = machine.recordClaimProgress(second, isDone: true)
        #expect(machine.endTurn() == nil && machine.claims.current == nil)
    }

    @Test("A closing spool writes its changes, retries as long as that helps, syncs once, and rejects later changes")
    func close() throws {
        var machine = self.machine()
        for change in [self.begin(), self.finish()] { try machine.add(change) }
        #expect(machine.close() == true)
        #expect(machine.close() == false)
        guard case .failure(let error) = machine.enqueue(self.write(self.begin())) else {
            throw SpoolWriterStateMachine.refusal
        }
        #expect(error.code == .closed)
        let now = self.time(1)
        #expect(try machine.makeTransaction(now).wakeup == nil)
        let outcome = try machine.transaction(now)
        #expect(outcome.writes.first?.change.needsSync == true)
        machine.end(outcome, refused: true, now)
        let retry = try machine.transaction(now)
        #expect(retry.unwritten.count == 1)
        machine.end(retry, refused: true, now)
        let sync = try machine.transaction(now)
        #expect(sync.isSyncOnly)
        machine.end(sync, refused: true, now)
        #expect(machine.startTurn(now) == nil && machine.endTurn() == nil)
        #expect(machine.phase == .closed && machine.unwritten.count == 1)
    }

    @Test("The log is checkpointed each time it has grown by 4 MiB, also after SQLite has restarted it")
    func checkpoints() {
        var machine = self.machine()
        #expect(machine.recordLogSize((4 << 20) - 1) == false)
        #expect(machine.recordLogSize(4 << 20) == true)
        machine.checkpointedLogSize = 4 << 20
        #expect(machine.recordLogSize((8 << 20) - 1) == false)
        #expect(machine.recordLogSize(8 << 20) == true)
        #expect(machine.recordLogSize(1 << 20) == false)
        #expect(machine.recordLogSize(4 << 20) == true)
    }
}
