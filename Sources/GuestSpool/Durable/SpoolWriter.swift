// SPDX-License-Identifier: Apache-2.0

import DequeModule
import Dispatch
import FaultPoints
import GRDB
import Logging
import NIOConcurrencyHelpers
import Notifications
import SecureFiles
import Timing

/// Writes changes in batches. Changes that arrive while one batch is being written form the next batch, so that many
/// operations share one `fsync`.
final class SpoolWriter: Sendable {
    struct State {
        var pending = PendingWritesStateMachine()
        /// The changes in the current transaction.
        var inFlight: [SpoolWrite] = []
        /// Whether a timer regularly checks for changes that the disk has not completed.
        var isWatched = false
        /// The number of operations that are about to begin, and the size of their contexts in bytes.
        var beginning = (count: 0, bytes: 0)
        var isWriting = false
        var isClosed = false
        var unsynced = SyncScheduleStateMachine()
        /// Whether a timer for the outcomes in `kept` is set.
        var isRetryComing = false
        /// Outcomes that the disk refused, in the order in which they arose. All are of operations that were begun, so
        /// there are no more of them than of those.
        var kept: Deque<SpoolChange.Finish> = []
        var retryBackoff = SpoolWriter.firstRetry
        /// Operations that were refused, and are not in the tally yet.
        var refusals = 0
        /// Whether a transaction is adding the refusals to the tally, and how many transactions have done or tried
        /// that.
        var refusalMoves = (isUnderWay: false, count: 0)
        /// Whether the disk failed in the middle of a write: earlier writes may then be lost although they succeeded.
        var isLogSuspect = false
        var isVacuumScheduled = false
        /// The length of the log at its last checkpoint.
        var checkpointedLogSize = 0
        /// The claim that is not recorded in the file yet.
        var claim: SpoolClaim?
        /// The progress of that claim, or of an earlier one that it replaces.
        var claimProgress: SpoolClaim.Progress?
        /// Whether a turn of the writing queue is scheduled that continues the claim.
        var isClaiming = false
        /// Callers that are resumed when no outcome of another guest waits any more.
        var claimWaiters: [CheckedContinuation<Void, any Error>] = []
        /// The names of the last claim.
        var claimedNames: [String] = []
        /// The number of claims, and whether the file has recorded one.
        var claimCount = 0
        var hasClaimed = false
        /// Whether the file may contain outcomes of this agent.
        var hasFinished = false
        /// The owner of the spool until the file has recorded it: no operation begins before.
        var origin: SpoolOrigin?

        /// Records that a transaction now contains these changes.
        mutating func take(_ writes: [SpoolWrite]) {
            self.inFlight += writes
            for write in writes where write.change.isBegin { self.leaveBeginning(write) }
        }

        /// Records that the operation no longer waits to begin.
        mutating func leaveBeginning(_ write: SpoolWrite) {
            self.beginning.count -= 1
            self.beginning.bytes -= write.change.size
        }
    }

    /// The maximum number of outcomes, refused by the disk earlier, in one transaction.
    private static let keptLimit = 512
    /// The time after which an operation that begins is synced, if no outcome's transaction has synced it before.
    private static let syncDelay = DispatchTimeInterval.milliseconds(10)
    /// The delays before a retry of what the disk refused.
    private static let firstRetry = Backoff(minimum: .seconds(1), maximum: .seconds(30), jitter: .none)

    let store: SpoolStore
    let configuration: Spool.Configuration
    let state: NIOLockedValueBox<State>
    let onArrival: NIOLockedValueBox<(@Sendable () -> Void)?> = NIOLockedValueBox(nil)

    init(store: SpoolStore, configuration: Spool.Configuration) {
        self.store = store
        self.configuration = configuration
        var state = State()
        state.isLogSuspect = store.takeover.isLogSuspect
        state.origin = store.takeover.unrecordedOrigin
        self.state = NIOLockedValueBox(state)
    }

    /// Sets the closure that is called when outcomes that the disk had refused are in the file after all.
    func setOnArrival(_ body: @escaping @Sendable () -> Void) { self.onArrival.withLockedValue { $0 = body } }

    /// The number of refused operations that are not in the tally yet, and a counter that shows whether that changed
    /// since; nil while a transaction is adding them to the tally.
    var refusals: (count: Int, moves: Int)? {
        self.state.withLockedValue { state in
            state.refusalMoves.isUnderWay ? nil : (state.refusals, state.refusalMoves.count)
        }
    }

    /// The number of changes that no transaction has taken yet.
    var pendingCount: Int { self.state.withLockedValue { $0.pending.count } }

    /// Makes a change, and returns when it is committed, and on the disk if it needs to be.
    ///
    /// The caller's cancellation does not stop the change: an outcome is written in any case.
    ///
    /// - Throws: ``OutboxError``; with ``OutboxError/Code/diskSlow`` when the disk has not completed the change within
    ///   the write timeout.
    func write(_ change: SpoolChange) async throws {
        try await withCheckedThrowingContinuation { continuation in
            let write = SpoolWrite(
                change, continuation, deadline: .now() + self.configuration.writeTimeout.dispatchInterval)
            if let refusal = self.enqueue(write) { write.answer(.failure(refusal)) }
        }
    }

    /// Adds a change to the queue; returns why the change is rejected, or nil when it is accepted.
    @discardableResult
    func enqueue(_ write: SpoolWrite) -> OutboxError? {
        typealias Enqueued = (isFirst: Bool, isWatched: Bool, isFirstOfClaim: Bool)
        let result = self.state.withLockedValue { state -> Result<Enqueued, OutboxError> in
            if state.isClosed { return .failure(SpoolStore.closed(self.store.directory)) }
            if let refusal = self.refusal(write.change, &state) { return .failure(refusal) }
            state.pending.append(write)
            // A claim that failed is retried.
            let isFirstOfClaim = state.pending.isHolding && write.change.isBegin && !state.isClaiming
            if isFirstOfClaim { state.isClaiming = true }
            defer { (state.isWriting, state.isWatched) = (true, true) }
            return .success((!state.isWriting, state.isWatched, isFirstOfClaim))
        }
        switch result {
        case .success(let (isFirst, isWatched, isFirstOfClaim)):
            if isFirstOfClaim { self.advanceClaimLater() }
            if isFirst { self.store.writing.async { self.drain() } }
            if !isWatched { self.watchLater() }
            return nil
        case .failure(let error): return error
        }
    }

    /// Returns why the change is rejected; nil when it is accepted. Operations that wait to begin are limited to what
    /// an empty spool could store. All other changes are of operations that were begun.
    private func refusal(_ change: SpoolChange, _ state: inout State) -> OutboxError? {
        guard case .begin = change else { return nil }
        guard state.beginning.count < self.configuration.maximumCount,
            state.beginning.bytes + change.size <= self.configuration.maximumBytes
        else {
            state.refusals += 1
            let cause =
                state.pending.isHolding
                ? "outcomes of another guest are being set aside first" : "the disk is slow or hangs"
            return OutboxError(
                .full,
                """
                \(state.beginning.count) operations wait for the spool to begin; the limit maximumCount \
                (\(self.configuration.maximumCount)) or maximumBytes (\(self.configuration.maximumBytes)) is reached: \(cause). Try again later.
                """)
        }
        state.beginning.count += 1
        state.beginning.bytes += change.size
        return nil
    }

    /// Writes one batch, and schedules the next turn. This method and all that follow run on the writing queue. Each
    /// turn makes one transaction only: overdue syncs and retries are on that queue too, and must not wait until the
    /// queue of changes is empty.
    func drain() {
        guard self.writeBatch() else { return }
        self.store.writing.async { self.drain() }
    }

    /// Writes the next batch, and returns whether there was one.
    private func writeBatch() -> Bool {
        guard case (var batch, let isSynced)? = self.takeBatch() else { return false }
        let results = self.write(batch.map(\.change), isSynced: isSynced) {
            let more = self.takeMore()
            batch += more
            return more.map(\.change)
        }
        self.state.withLockedValue { $0.inFlight = [] }
        var isLate = false
        for (write, result) in zip(batch, results) where !write.answer(result) {
            isLate = self.handleLateResult(write, result) || isLate
        }
        if isLate { self.onArrival.withLockedValue { $0 }?() }
        self.checkpointLog()
        return true
    }

    /// Returns the changes of the next transaction, and whether it must wait for the disk; nil when there are none.
    private func takeBatch() -> (batch: [SpoolWrite], isSynced: Bool)? {
        self.state.withLockedValue { state in
            // While callers never pause, the transaction of their changes makes the sync that is overdue.
            let isOverdue = state.unsynced.isOverdue(.now(), delay: Self.syncDelay)
            let batch = state.pending.takeBatch(isSyncOverdue: isOverdue)
            state.take(batch)
            if batch.isEmpty { state.isWriting = false }
            return batch.isEmpty ? nil : (batch, isOverdue || batch.contains { $0.change.needsSync })
        }
    }

    private func takeMore() -> [SpoolWrite] {
        self.state.withLockedValue { state in
            let more = state.pending.takeMore()
            state.take(more)
            return more
        }
    }

    /// Makes changes, and before them those that the disk refused earlier.
    ///
    /// - Parameters:
    ///   - isSynced: whether the transaction waits for the disk.
    ///   - more: returns changes that arrived in the meantime and join the transaction; it is called until it returns
    ///     none.
    /// - Returns: the result of each change; a change that cannot be made does not affect the others.
    @discardableResult
    private func write(
        _ first: [SpoolChange], isSynced: Bool, more: () -> [SpoolChange] = { [] }
    ) -> [Result<Void, OutboxError>] {
        let kept = self.unwrittenBefore(first)
        var changes = kept.map { .finish($0) } + first
        var results = self.attempt(&changes, isSynced: isSynced, more)
        changes.removeFirst(kept.count)
        self.settle(kept, results.prefix(kept.count))
        results.removeFirst(kept.count)
        for (index, change) in changes.enumerated() {
            switch (change, results[index]) {
            case (.begin(let begin), .success): self.store.began(begin)
            case (.finish(let finish), .success):
                self.store.finished(finish.messageID)
                self.forget(finish)
            case (.finish(let finish), .failure(let error)):
                results[index] = .failure(self.keep(finish, error))
            case (.cancel(let messageID), .success): self.store.finished(messageID)
            case (.remove, .success): self.vacuum()
            default: break
            }
        }
        self.syncSoon()
        if self.state.withLockedValue({ !$0.kept.isEmpty }) { self.retryLater() }
        return results
    }

    /// Returns outcomes that the disk refused earlier, for a transaction with other outcomes or of its own. If a caller
    /// finishes such an operation again, the outcome is not returned: it is written once, in the transaction that the
    /// caller waits for, which may be a later one.
    private func unwrittenBefore(_ changes: [SpoolChange]) -> [SpoolChange.Finish] {
        guard changes.isEmpty || changes.contains(where: \.needsSync) else { return [] }
        let (kept, returned) = self.state.withLockedValue { state in
            (state.kept, state.kept.isEmpty ? [] : state.pending.finishing)
        }
        guard !kept.isEmpty else { return [] }
        var again = returned
        for case .finish(let finish) in changes { again.insert(finish.messageID) }
        return Array(kept.lazy.filter { !again.contains($0.messageID) }.prefix(Self.keptLimit))
    }

    func forget(_ finish: SpoolChange.Finish) {
        self.state.withLockedValue { state in
            state.kept.removeAll { $0.messageID.hasSameBytes(as: finish.messageID) }
        }
    }

    private func attempt(
        _ changes: inout [SpoolChange], isSynced: Bool, _ more: () -> [SpoolChange] = { [] }
    ) -> [Result<Void, OutboxError>] {
        var results: [Result<Void, OutboxError>] = []
        do {
            try self.store.write { db in
                results = []
                try self.commit(&changes, more, db, isSynced: isSynced, &results)
            }
            return results
        } catch  where SpoolFailure(error) == .ofTheChange && changes.count > 1 {
            // One change cannot be made; the others must not fail because of it.
            return changes.flatMap { change in
                var alone = [change]
                // What need not wait for the disk stays overdue, and the next transaction is synced.
                return self.attempt(&alone, isSynced: change.needsSync)
            }
        } catch {
            if SpoolFailure.leavesDoubt(error) { self.doubt() }
            let failure = SpoolFailure.error(error, self.store.directory)
            let refused = results.count { result in
                if case .failure(let refusal) = result { return refusal.code == .full }
                return false
            }
            // The next transaction adds them to the tally.
            self.state.withLockedValue { $0.refusals += refused }
            // The spool has no space for the refused operations in either case. Other results may depend on changes
            // that were rolled back.
            return changes.indices.map { index in
                if index < results.count, case .failure(let refusal) = results[index], refusal.code == .full {
                    return .failure(refusal)
                }
                return .failure(failure)
            }
        }
    }

    private func commit(
        _ changes: inout [SpoolChange], _ more: () -> [SpoolChange], _ db: Database, isSynced: Bool,
        _ results: inout [Result<Void, OutboxError>]
    ) throws {
        try self.settleDoubt(db)
        var origin = self.unrecordedOrigin()
        var recorded: SpoolOrigin?
        // SQLite applies this setting only outside of transactions.
        try db.execute(
            sql: isSynced && !Sabotage.noSync.isOn ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL")
        let refusals = self.state.withLockedValue { state in
            if state.refusals > 0 { state.refusalMoves = (true, state.refusalMoves.count + 1) }
            return state.refusals
        }
        defer { self.state.withLockedValue { $0.refusalMoves.isUnderWay = false } }
        try db.inTransaction(.immediate) {
            let before = try SpoolTally(db)
            var tally = before
            repeat {
                for change in changes[results.count...] {
                    do {
                        if case .begin = change {
                            try origin?.save(db)
                            recorded = origin ?? recorded
                            origin = nil
                        }
                        try change.apply(db, &tally, self.configuration)
                        results.append(.success(()))
                    } catch let error as OutboxError {
                        // The error was found before anything was changed.
                        if error.code == .full { tally.counts.refused += 1 }
                        results.append(.failure(error))
                    }
                }
                changes += more()
            } while results.count < changes.count
            tally.counts.refused += refusals
            try tally.save(db)
            if isSynced, tally == before {
                // SQLite does not write a page whose content stays the same, and a transaction without pages does not
                // wait for the disk. This statement always writes a page, so that the sync covers all earlier commits
                // too.
                try db.execute(sql: "PRAGMA user_version = 0")
            }
            FaultPoint.spoolBeforeCommit.reached()
            return .commit
        }
        FaultPoint.spoolAfterCommit.reached()
        let names = self.state.withLockedValue { state -> [String] in
            state.refusals -= refusals
            if recorded != nil { state.origin = nil }
            if isSynced, changes.contains(where: \.needsSync) { state.hasFinished = true }
            state.unsynced.committed(isSynced: isSynced, .now())
            return recorded?.isBeingClaimed == true ? state.claimedNames : []
        }
        // The disk had no space to record the end of a claim, and has some now.
        self.claim(names)
    }

    /// Stores in memory an outcome that the disk refused, so that the outcome is reported, and not an interruption.
    private func keep(_ finish: SpoolChange.Finish, _ error: OutboxError) -> OutboxError {
        guard error.code != .notBegun, self.store.isRunning(finish.messageID) else { return error }
        self.forget(finish)
        self.state.withLockedValue { $0.kept.append(finish) }
        return OutboxError(
            error.code,
            "\(error.description) The outcome is stored in memory, and the write is retried until it succeeds.")
    }

    private func settle(_ kept: [SpoolChange.Finish], _ results: ArraySlice<Result<Void, OutboxError>>) {
        var settled: Set<String> = []
        for (finish, result) in zip(kept, results) {
            switch result {
            case .success:
                self.store.finished(finish.messageID)
                settled.insert(finish.messageID)
            case .failure(let error) where error.code == .notBegun:
                // The disk had stored the outcome, although it reported an error.
                self.store.finished(finish.messageID)
                settled.insert(finish.messageID)
            case .failure: break
            }
        }
        guard !settled.isEmpty else { return }
        self.state.withLockedValue { state in
            state.kept.removeAll { settled.contains($0.messageID) }
            state.retryBackoff.reset()
        }
        self.store.logger.notice(
            "Wrote outcomes that were stored in memory while the spool's disk failed",
            metadata: ["outcomes": "\(settled.count)"])
        self.onArrival.withLockedValue { $0 }?()
    }

    /// Shrinks the file after a backlog, one step in each turn, so that other changes are written in between.
    private func vacuum() {
        let isFirst = self.state.withLockedValue { state in
            defer { state.isVacuumScheduled = true }
            return !state.isVacuumScheduled
        }
        guard isFirst else { return }
        self.store.writing.async { [weak self] in
            guard let self else { return }
            self.state.withLockedValue { $0.isVacuumScheduled = false }
            guard !self.state.withLockedValue({ $0.isClosed }) else { return }
            do {
                if try self.store.write(SpoolFile.vacuum) { self.vacuum() }
            } catch {
                // A disk that fails does not need the free space now; the next removal retries.
                if SpoolFailure.leavesDoubt(error) { self.doubt() }
            }
        }
    }

    /// Schedules a sync of commits that did not wait for the disk.
    private func syncSoon() {
        let time = self.state.withLockedValue { state in
            // Closing the spool has already tried the sync.
            state.isClosed ? nil : state.unsynced.timeToSet(after: Self.syncDelay)
        }
        guard let time else { return }
        self.store.writing.asyncAfter(deadline: time) { [weak self] in
            guard let self else { return }
            let isOverdue = self.state.withLockedValue { state in
                state.unsynced.timeCame(time, .now(), delay: Self.syncDelay) && !state.isClosed
            }
            if isOverdue { self.sync() }
            self.syncSoon()
        }
    }

    /// Syncs all earlier commits by a commit that waits for the disk.
    private func sync() {
        do {
            try self.store.write { db in
                var (results, changes): ([Result<Void, OutboxError>], [SpoolChange]) = ([], [])
                try self.commit(&changes, { [] }, db, isSynced: true, &results)
            }
        } catch {
            if SpoolFailure.leavesDoubt(error) { self.doubt() }
            self.state.withLockedValue {
                $0.unsynced.syncFailed(retryAt: .now() + Self.firstRetry.minimum.dispatchInterval)
            }
        }
    }

    func retryLater() {
        let delay = self.state.withLockedValue { state -> DispatchTimeInterval? in
            guard !state.isRetryComing, !state.isClosed else { return nil }
            state.isRetryComing = true
            return state.retryBackoff.next().dispatchInterval
        }
        guard let delay else { return }
        self.store.writing.asyncAfter(deadline: .now() + delay) { [weak self] in
            guard let self else { return }
            self.state.withLockedValue { $0.isRetryComing = false }
            if self.state.withLockedValue({ !$0.kept.isEmpty && !$0.isClosed }) { self.write([], isSynced: true) }
        }
    }

    /// Writes all changes that were requested before, and closes the file. Later requests fail.
    ///
    /// - Throws: ``OutboxError``.
    func close() async throws {
        let isFirst = self.state.withLockedValue { state in
            defer { state.isClosed = true }
            return !state.isClosed
        }
        guard isFirst else { return }
        try await withCheckedThrowingContinuation { continuation in
            self.store.writing.async {
                // On this queue no write is in progress.
                self.finishClaim()
                while self.writeBatch() {}
                while self.state.withLockedValue({ !$0.kept.isEmpty }) {
                    let before = self.state.withLockedValue { $0.kept.count }
                    self.write([], isSynced: true)
                    if self.state.withLockedValue({ $0.kept.count }) == before { break }
                }
                if self.state.withLockedValue({ !$0.unsynced.isEmpty }) { self.sync() }
                let lost = self.state.withLockedValue { $0.kept.count }
                if lost > 0 {
                    self.store.logger.critical(
                        "Failed to write outcomes that were stored in memory; the next agent reports them as interrupted",
                        metadata: ["outcomes": "\(lost)", "spool": "\(self.store.directory.path)"])
                }
                continuation.resume(
                    with: Result { try self.store.close() }
                        .mapError { SpoolFailure.error($0, self.store.directory) })
            }
        }
    }
}
