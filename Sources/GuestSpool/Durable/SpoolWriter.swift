import DequeModule
import Dispatch
import FaultPoints
import GRDB
import Logging
import NIOConcurrencyHelpers
import Notifications
import SecureFiles

/// Writes changes in batches: those that come while one batch is on its way to the disk make up the next, so that many
/// operations share one `fsync`.
final class SpoolWriter: Sendable {
    struct State {
        var pending = PendingWrites()
        /// What the transaction holds that is on its way.
        var inFlight: [SpoolWrite] = []
        /// Whether somebody looks at times whether the disk still takes what is asked for.
        var isWatched = false
        /// Operations that are about to begin, and the bytes of their contexts.
        var beginning = (count: 0, bytes: 0)
        var isWriting = false
        var isClosed = false
        var unsynced = UnsyncedCommits()
        /// Whether a time is set for what is kept.
        var isRetryComing = false
        /// Outcomes that the disk did not take, by the order in which they arose. Of operations that were begun, so that
        /// they are no more than those.
        var kept: Deque<SpoolChange.Finish> = []
        var retryDelay = SpoolWriter.shortestRetry
        /// Operations that were refused, and are not in the tally yet.
        var refusals = 0
        /// Whether a transaction takes them there, and how many have done so or tried.
        var refusalMoves = (isUnderWay: false, count: 0)
        /// The disk failed in the middle of a write: what it was given before may be lost although it said otherwise.
        var isInDoubt = false
        var isGivingBack = false
        /// How long the log was when it was last carried over.
        var carriedOverLog = 0
        /// The guest's names, until the file has them.
        var claim: SpoolClaim?
        /// How far it is, or one before it that it has taken the place of.
        var claimProgress: SpoolClaim.Progress?
        /// Whether a turn of the writing queue is coming that advances it.
        var isClaiming = false
        /// Resumed when nothing of another guest's waits any more.
        var claimWaiters: [CheckedContinuation<Void, any Error>] = []
        /// The names of the last claim.
        var claimedNames: [String] = []
        /// How many claims there were, and whether the file has got one.
        var claimCount = 0
        var hasClaimed = false
        /// Whether outcomes of this agent's may be in the file.
        var hasFinished = false
        /// Whose the spool is, until the file has it: no operation begins before.
        var origin: SpoolOrigin?

        /// A transaction has them now.
        mutating func take(_ writes: [SpoolWrite]) {
            self.inFlight += writes
            for write in writes where write.change.isBegin { self.leaveBeginning(write) }
        }

        /// The operation does not wait to begin any more.
        mutating func leaveBeginning(_ write: SpoolWrite) {
            self.beginning.count -= 1
            self.beginning.bytes -= write.change.size
        }
    }

    /// Outcomes in one transaction, at most, that the disk refused earlier.
    private static let keptLimit = 512
    /// An operation that begins is on the disk after this time, if no outcome took it along before.
    private static let syncDelay = DispatchTimeInterval.milliseconds(10)
    /// After this time what the disk refused is tried again, and after twice the time then.
    private static let shortestRetry = 1
    private static let longestRetry = 30

    let store: SpoolStore
    let configuration: Spool.Configuration
    let state: NIOLockedValueBox<State>
    let onArrival: NIOLockedValueBox<(@Sendable () -> Void)?> = NIOLockedValueBox(nil)

    init(store: SpoolStore, configuration: Spool.Configuration) {
        self.store = store
        self.configuration = configuration
        var state = State()
        state.isInDoubt = store.takeover.isInDoubt
        state.origin = store.takeover.unrecordedOrigin
        self.state = NIOLockedValueBox(state)
    }

    /// Called when outcomes that the disk had refused are in the file after all.
    func setOnArrival(_ body: @escaping @Sendable () -> Void) { self.onArrival.withLockedValue { $0 = body } }

    /// Operations that were refused, and are not in the tally yet, with what tells whether that was still so later; nil
    /// while nobody can say.
    var refusals: (count: Int, moves: Int)? {
        self.state.withLockedValue { state in
            state.refusalMoves.isUnderWay ? nil : (state.refusals, state.refusalMoves.count)
        }
    }

    /// Changes that no transaction has taken yet.
    var pendingCount: Int { self.state.withLockedValue { $0.pending.count } }

    /// Makes a change, and returns when it is committed, and on the disk if it needs to be.
    ///
    /// A cancellation of the caller does not reach it: an outcome is written all the same.
    ///
    /// - Throws: ``OutboxError``; with ``OutboxError/Code/diskSlow`` when the disk has not taken it within the patience.
    func write(_ change: SpoolChange) async throws {
        try await withCheckedThrowingContinuation { continuation in
            let write = SpoolWrite(
                change, continuation, deadline: .now() + self.configuration.patience.dispatchInterval)
            if let refusal = self.enqueue(write) { write.answer(.failure(refusal)) }
        }
    }

    /// - Returns: why it is not taken; nil when it is.
    @discardableResult
    func enqueue(_ write: SpoolWrite) -> OutboxError? {
        typealias Enqueued = (isFirst: Bool, isWatched: Bool, isFirstOfClaim: Bool)
        let result = self.state.withLockedValue { state -> Result<Enqueued, OutboxError> in
            if state.isClosed { return .failure(SpoolStore.closed(self.store.directory)) }
            if let refusal = self.refusal(write.change, &state) { return .failure(refusal) }
            state.pending.append(write)
            // One that failed is tried again.
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

    /// Operations that wait to begin are bounded by what the spool could take if it were empty. All else is of
    /// operations that were begun.
    private func refusal(_ change: SpoolChange, _ state: inout State) -> OutboxError? {
        guard case .begin = change else { return nil }
        guard state.beginning.count < self.configuration.maximumCount,
            state.beginning.bytes + change.size <= self.configuration.maximumBytes
        else {
            state.refusals += 1
            let cause =
                state.pending.isHolding
                ? "another guest's outcomes are set aside first" : "the disk is slow or stands still"
            return OutboxError(
                .full,
                """
                \(state.beginning.count) operations wait for the spool to begin, as many as maximumCount \
                (\(self.configuration.maximumCount)) and maximumBytes (\(self.configuration.maximumBytes)) let; \(cause).
                """)
        }
        state.beginning.count += 1
        state.beginning.bytes += change.size
        return nil
    }

    /// On the writing queue, as is all that follows. A transaction a turn: a sync that is due, and another try of what the disk refused,
    /// are on that queue too, and must not wait until nobody asks for anything.
    func drain() {
        guard self.writeBatch() else { return }
        self.store.writing.async { self.drain() }
    }

    /// - Returns: whether there was something to write.
    private func writeBatch() -> Bool {
        guard var batch = self.takeBatch() else { return false }
        let results = self.write(batch.map(\.change)) {
            let more = self.takeMore()
            batch += more
            return more.map(\.change)
        }
        self.state.withLockedValue { $0.inFlight = [] }
        var isLate = false
        for (write, result) in zip(batch, results) where !write.answer(result) {
            isLate = self.settleLate(write, result) || isLate
        }
        if isLate { self.onArrival.withLockedValue { $0 }?() }
        self.carryOverLog()
        return true
    }

    private func takeBatch() -> [SpoolWrite]? {
        self.state.withLockedValue { state in
            let batch = state.pending.takeBatch()
            state.take(batch)
            if batch.isEmpty { state.isWriting = false }
            return batch.isEmpty ? nil : batch
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
    /// - Parameter more: what came meanwhile and is to be made along with them; asked until there is nothing.
    /// - Returns: what became of each change; one that cannot be made leaves the others as they are.
    @discardableResult
    private func write(
        _ first: [SpoolChange], more: () -> [SpoolChange] = { [] }
    ) -> [Result<Void, OutboxError>] {
        let kept = self.keptBefore(first)
        var changes = kept.map { .finish($0) } + first
        var results = self.attempt(&changes, more)
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
            case (.remove, .success): self.giveBackRoom()
            default: break
            }
        }
        self.syncSoon()
        if self.state.withLockedValue({ !$0.kept.isEmpty }) { self.retryLater() }
        return results
    }

    /// What the disk refused earlier, for a transaction that waits for the disk anyhow. An outcome that its caller tells again is
    /// told once, in the transaction that the caller waits for, which may be a later one.
    private func keptBefore(_ changes: [SpoolChange]) -> [SpoolChange.Finish] {
        guard changes.isEmpty || changes.contains(where: \.needsSync) else { return [] }
        let (kept, told) = self.state.withLockedValue { state in
            (state.kept, state.kept.isEmpty ? [] : state.pending.finishing)
        }
        guard !kept.isEmpty else { return [] }
        var again = told
        for case .finish(let finish) in changes { again.insert(finish.messageID) }
        return Array(kept.lazy.filter { !again.contains($0.messageID) }.prefix(Self.keptLimit))
    }

    func forget(_ finish: SpoolChange.Finish) {
        self.state.withLockedValue { state in
            state.kept.removeAll { $0.messageID.hasSameBytes(as: finish.messageID) }
        }
    }

    private func attempt(
        _ changes: inout [SpoolChange], _ more: () -> [SpoolChange] = { [] }
    ) -> [Result<Void, OutboxError>] {
        let isSynced = changes.contains { $0.needsSync }
        var results: [Result<Void, OutboxError>] = []
        do {
            try self.store.write { db in
                results = []
                try self.commit(&changes, more, db, isSynced: isSynced, &results)
            }
            return results
        } catch  where SpoolFailure(error) == .ofTheChange && changes.count > 1 {
            // One cannot be made, which is not the others' fault.
            return changes.flatMap { change in
                var alone = [change]
                return self.attempt(&alone)
            }
        } catch {
            if SpoolFailure.leavesDoubt(error) { self.doubt() }
            let failure = SpoolFailure.error(error, self.store.directory)
            let refused = results.count { result in
                if case .failure(let refusal) = result { return refusal.code == .full }
                return false
            }
            // The next transaction counts them.
            self.state.withLockedValue { $0.refusals += refused }
            // There is no room for what was refused either way. Other verdicts may rest on what was undone.
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
        // SQLite heeds it outside of transactions only.
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
                        // Found before anything was changed.
                        if error.code == .full { tally.counts.refused += 1 }
                        results.append(.failure(error))
                    }
                }
                changes += more()
            } while results.count < changes.count
            tally.counts.refused += refusals
            try tally.save(db)
            if isSynced, tally == before {
                // SQLite writes no page whose content stays the same, and a transaction without pages waits for no disk.
                // This one writes a page in any case, and all that was committed before goes along.
                try db.execute(sql: "PRAGMA user_version = 0")
            }
            FaultPoint.spoolBeforeCommit.reached()
            return .commit
        }
        FaultPoint.spoolAfterCommit.reached()
        let names = self.state.withLockedValue { state -> [String] in
            state.refusals -= refusals
            if recorded != nil { state.origin = nil }
            if isSynced, !changes.isEmpty { state.hasFinished = true }
            state.unsynced.committed(isSynced: isSynced, .now())
            return recorded?.isBeingClaimed == true ? state.claimedNames : []
        }
        // The disk had no room for the end of a claim, and has some now.
        self.claim(names)
    }

    /// Keeps an outcome that the disk did not take, so that it is told and not that the operation was interrupted.
    private func keep(_ finish: SpoolChange.Finish, _ error: OutboxError) -> OutboxError {
        guard error.code != .notBegun, self.store.isRunning(finish.messageID) else { return error }
        self.forget(finish)
        self.state.withLockedValue { $0.kept.append(finish) }
        return OutboxError(
            error.code,
            "\(error.description) The outcome is kept in memory, and is written as soon as the disk takes it.")
    }

    private func settle(_ kept: [SpoolChange.Finish], _ results: ArraySlice<Result<Void, OutboxError>>) {
        var settled: Set<String> = []
        for (finish, result) in zip(kept, results) {
            switch result {
            case .success:
                self.store.finished(finish.messageID)
                settled.insert(finish.messageID)
            case .failure(let error) where error.code == .notBegun:
                // The disk had taken it, although it said otherwise.
                self.store.finished(finish.messageID)
                settled.insert(finish.messageID)
            case .failure: break
            }
        }
        guard !settled.isEmpty else { return }
        self.state.withLockedValue { state in
            state.kept.removeAll { settled.contains($0.messageID) }
            state.retryDelay = Self.shortestRetry
        }
        self.store.logger.notice(
            "The spool's disk takes outcomes again; those that were kept in memory are written",
            metadata: ["outcomes": "\(settled.count)"])
        self.onArrival.withLockedValue { $0 }?()
    }

    /// Makes the file smaller after a backlog, a step at a time: what is to be written goes in between.
    private func giveBackRoom() {
        let isFirst = self.state.withLockedValue { state in
            defer { state.isGivingBack = true }
            return !state.isGivingBack
        }
        guard isFirst else { return }
        self.store.writing.async { [weak self] in
            guard let self else { return }
            self.state.withLockedValue { $0.isGivingBack = false }
            guard !self.state.withLockedValue({ $0.isClosed }) else { return }
            do {
                if try self.store.write(SpoolFile.giveBackRoom) { self.giveBackRoom() }
            } catch {
                // A disk that refuses has no need of it now; the next removal tries again.
                if SpoolFailure.leavesDoubt(error) { self.doubt() }
            }
        }
    }

    /// Sees to it that what need not wait for the disk is there soon.
    private func syncSoon(earliest: DispatchTime? = nil) {
        let time = self.state.withLockedValue { state in
            // Who closes the spool has tried it.
            state.isClosed ? nil : state.unsynced.timeToSet(after: Self.syncDelay, earliest: earliest)
        }
        guard let time else { return }
        self.store.writing.asyncAfter(deadline: time) { [weak self] in
            guard let self else { return }
            let isOverdue = self.state.withLockedValue { state in
                state.unsynced.timeCame(.now(), delay: Self.syncDelay) && !state.isClosed
            }
            let isRefused = isOverdue && !self.sync()
            self.syncSoon(earliest: isRefused ? .now() + .seconds(Self.shortestRetry) : nil)
        }
    }

    /// A commit that waits for the disk takes along all that was committed before it.
    private func sync() -> Bool {
        do {
            try self.store.write { db in
                var results: [Result<Void, OutboxError>] = []
                var changes: [SpoolChange] = []
                try self.commit(&changes, { [] }, db, isSynced: true, &results)
            }
            return true
        } catch {
            if SpoolFailure.leavesDoubt(error) { self.doubt() }
            return false
        }
    }

    func retryLater() {
        let delay = self.state.withLockedValue { state -> Int? in
            guard !state.isRetryComing, !state.isClosed else { return nil }
            state.isRetryComing = true
            defer { state.retryDelay = min(state.retryDelay * 2, Self.longestRetry) }
            return state.retryDelay
        }
        guard let delay else { return }
        self.store.writing.asyncAfter(deadline: .now() + .seconds(delay)) { [weak self] in
            guard let self else { return }
            self.state.withLockedValue { $0.isRetryComing = false }
            if self.state.withLockedValue({ !$0.kept.isEmpty && !$0.isClosed }) { self.write([]) }
        }
    }

    /// Writes what was asked for before, and closes the file. What is asked for afterwards fails.
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
                // On this queue nothing is in the middle of a write.
                self.finishClaim()
                while self.writeBatch() {}
                while self.state.withLockedValue({ !$0.kept.isEmpty }) {
                    let before = self.state.withLockedValue { $0.kept.count }
                    self.write([])
                    if self.state.withLockedValue({ $0.kept.count }) == before { break }
                }
                if self.state.withLockedValue({ !$0.unsynced.isEmpty }) { _ = self.sync() }
                let lost = self.state.withLockedValue { $0.kept.count }
                if lost > 0 {
                    self.store.logger.critical(
                        "The spool's disk does not take outcomes that were kept in memory; they are told as interrupted",
                        metadata: ["outcomes": "\(lost)", "spool": "\(self.store.directory.path)"])
                }
                continuation.resume(
                    with: Result { try self.store.close() }
                        .mapError { SpoolFailure.error($0, self.store.directory) })
            }
        }
    }
}
