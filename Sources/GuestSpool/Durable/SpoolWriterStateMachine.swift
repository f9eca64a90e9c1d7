// SPDX-License-Identifier: Apache-2.0

import DequeModule
import Dispatch
import Timing

/// The state machine of ``SpoolWriter``. It decides what is written next, when commits are synced, when the log is
/// checkpointed, what is retried and when, and what fails to callers. It does no I/O, and callers pass the time.
///
/// The writer works in turns, one after the other: it calls ``startTurn(_:)``, does the work, reports its results, and
/// calls ``endTurn()``. Each turn makes one transaction only, so that no kind of work waits until another is done.
struct SpoolWriterStateMachine {
    /// The work of one turn.
    enum Turn {
        /// Make one transaction.
        case write(Transaction)
        /// Make the next transaction of a claim.
        case claim(SpoolClaim, SpoolClaim.Progress)
        /// Free a part of the file's unused space.
        case vacuum
    }

    /// The changes of one transaction.
    struct Transaction {
        /// Outcomes that the disk refused earlier. They come first.
        var unwritten: [SpoolChange.Finish] = []
        /// The changes that callers requested.
        var writes: [SpoolWrite] = []
        /// Whether the transaction waits for the disk.
        let isSynced: Bool

        /// Whether the transaction only syncs earlier commits.
        var isSyncOnly: Bool { self.unwritten.isEmpty && self.writes.isEmpty }
    }

    /// The time at which the writer must start a turn.
    enum Wakeup: Equatable {
        case now
        case at(DispatchTime)
    }

    /// What the writer must do after it has accepted a change.
    struct Accepted: Equatable {
        var wakeup: Wakeup?
        /// Whether the writer must start to check deadlines.
        var startsDeadlineChecks: Bool
    }

    /// Whether the spool accepts changes.
    enum Phase: Equatable {
        case open
        /// The spool is being closed: what is left is written in this order, and no timer is set.
        case closing(Closing)
        case closed
    }

    /// The progress of a close.
    struct Closing: Equatable {
        /// Whether the claim has failed; it is not tried again then.
        var hasClaimFailed = false
        /// The number of refused outcomes before the last retry; nil when none was made.
        var unwrittenBefore: Int?
        var hasSynced = false
    }

    /// Whether a turn is being made, or will be.
    enum TurnState { case idle, scheduled, running }

    /// The maximum number of outcomes, refused by the disk earlier, in one transaction.
    static let unwrittenLimit = 512
    /// The time after which an operation that begins is synced, if no outcome's transaction has synced it before.
    static let syncDelay = DispatchTimeInterval.milliseconds(10)
    /// The delays before a retry of what the disk refused.
    static let initialBackoff = Backoff(minimum: .seconds(1), maximum: .seconds(30), jitter: .none)

    let configuration: Spool.Configuration
    /// The path of the spool's directory, for errors.
    let path: String

    private(set) var phase = Phase.open
    private var turn = TurnState.idle
    /// The kind of work of the last turn; the kinds take turns.
    private var lastWork = Work.write
    /// The times of the timers that are set, latest first: a timer is set only if it fires before all others.
    private var timers: [DispatchTime] = []

    var pending = PendingWritesStateMachine()
    /// The changes in the current transaction.
    var inFlight: [SpoolWrite] = []
    /// The number of operations that are about to begin, and the size of their contexts in bytes.
    private(set) var beginning = (count: 0, bytes: 0)
    /// Whether a timer regularly checks for changes that the disk has not completed.
    var checksDeadlines = false
    var sync = SyncScheduleStateMachine()

    /// Outcomes that the disk refused, in the order in which they arose. All are of operations that were begun, so
    /// there are no more of them than of those.
    var unwritten: Deque<SpoolChange.Finish> = []
    /// The time of the next retry of those outcomes; nil when none is scheduled.
    var retryTime: DispatchTime?
    var retryBackoff = SpoolWriterStateMachine.initialBackoff

    /// Operations that were refused, and are not in the tally yet.
    var refusals = 0
    /// Whether a transaction is adding the refusals to the tally, and how many transactions have done or tried that.
    var refusalTransfers = (isInProgress: false, count: 0)

    /// Whether the disk failed in the middle of a write: earlier writes may then be lost although they succeeded.
    var isLogSuspect: Bool
    /// The length of the log at its last checkpoint.
    var checkpointedLogSize = 0
    var isVacuumRequested = false

    var claims = Claims()
    /// Whether the file may contain outcomes of this agent.
    var hasStoredOutcomes = false
    /// The owner of the spool until the file has recorded it: no operation begins before.
    var unrecordedOrigin: SpoolOrigin?

    init(
        configuration: Spool.Configuration, path: String, isLogSuspect: Bool = false,
        unrecordedOrigin: SpoolOrigin? = nil
    ) {
        self.configuration = configuration
        self.path = path
        self.isLogSuspect = isLogSuspect
        self.unrecordedOrigin = unrecordedOrigin
    }

    /// Adds a change to the queue, or rejects it. Operations that wait to begin are limited to what an empty spool
    /// could store. All other changes are of operations that were begun.
    mutating func enqueue(_ write: SpoolWrite) -> Result<Accepted, OutboxError> {
        if self.phase != .open { return .failure(.closed(self.path)) }
        if write.change.isBegin {
            let size = write.change.byteCount
            guard self.beginning.count < self.configuration.maximumCount,
                self.beginning.bytes + size <= self.configuration.maximumBytes
            else {
                self.refusals += 1
                return .failure(self.tooManyBeginningsError)
            }
            self.beginning.count += 1
            self.beginning.bytes += size
            // A claim that failed is retried.
            if self.pending.isHolding { self.claims.isRequested = true }
        }
        self.pending.append(write)
        defer { self.checksDeadlines = true }
        return .success(Accepted(wakeup: self.scheduleTurn(), startsDeadlineChecks: !self.checksDeadlines))
    }

    /// Records that the operations no longer wait to begin.
    mutating func removeBeginnings(_ writes: some Sequence<SpoolWrite>) {
        for write in writes where write.change.isBegin {
            self.beginning.count -= 1
            self.beginning.bytes -= write.change.byteCount
        }
    }

    /// Lets the spool close after all changes that were requested before. Later requests fail.
    ///
    /// - Returns: whether this is the first call; then the writer must run turns until there is no more.
    mutating func close() -> Bool {
        guard self.phase == .open else { return false }
        self.phase = .closing(Closing())
        return true
    }
}

// Turns
extension SpoolWriterStateMachine {
    /// The kinds of work, in the order in which they take turns.
    private enum Work: Int, CaseIterable { case write, claim, vacuum }

    /// Starts a turn, and returns its work; nil when there is none.
    mutating func startTurn(_ now: DispatchTime) -> Turn? {
        self.turn = .running
        switch self.phase {
        case .open: return self.retry(now) ?? self.nextWork(now)
        case .closing(var closing):
            let turn = self.closingWork(now, &closing)
            self.phase = turn == nil ? .closed : .closing(closing)
            return turn
        case .closed: return nil
        }
    }

    /// Ends a turn, whether it had work or not, and returns when the next one starts.
    mutating func endTurn() -> Wakeup? {
        self.turn = .idle
        self.pending.endBatch()
        return self.scheduleTurn()
    }

    /// Records that the timer of this time has fired.
    ///
    /// - Returns: whether a turn must start now.
    mutating func recordTimer(_ time: DispatchTime) -> Bool {
        if let index = self.timers.lastIndex(of: time) { self.timers.remove(at: index) }
        guard self.turn == .idle, self.phase == .open else { return false }
        self.turn = .scheduled
        return true
    }

    /// Schedules the next turn, and returns when the writer must start it; nil when one is scheduled already, or nothing
    /// is to be done.
    mutating func scheduleTurn() -> Wakeup? {
        guard self.turn == .idle, self.phase == .open else { return nil }
        if self.pending.hasNext || self.claims.isRequested || self.isVacuumRequested {
            self.turn = .scheduled
            return .now
        }
        let syncTime = self.sync.deadline(after: Self.syncDelay)
        guard var time = syncTime ?? self.retryTime else { return nil }
        if let retryTime = self.retryTime { time = min(time, retryTime) }
        if let next = self.timers.last, next <= time { return nil }
        self.timers.append(time)
        return .at(time)
    }

    private mutating func nextWork(_ now: DispatchTime) -> Turn? {
        for offset in 1...Work.allCases.count {
            guard let work = Work(rawValue: (self.lastWork.rawValue + offset) % Work.allCases.count),
                let turn = self.turn(of: work, now)
            else { continue }
            self.lastWork = work
            return turn
        }
        return nil
    }

    private mutating func turn(of work: Work, _ now: DispatchTime) -> Turn? {
        switch work {
        case .write:
            if let transaction = self.nextTransaction(now) { return .write(transaction) }
            return self.sync.isDue(now, delay: Self.syncDelay) ? .write(Transaction(isSynced: true)) : nil
        case .claim: return self.nextClaimTurn()
        case .vacuum:
            defer { self.isVacuumRequested = false }
            return self.isVacuumRequested ? .vacuum : nil
        }
    }

    /// Returns the next changes that callers requested; nil when there are none. While callers never pause, the
    /// transaction of their changes makes a sync that is overdue.
    private mutating func nextTransaction(_ now: DispatchTime) -> Transaction? {
        guard self.pending.hasNext else { return nil }
        let isOverdue = self.sync.isOverdue(now, delay: Self.syncDelay)
        let writes = self.pending.startBatch(isSyncOverdue: isOverdue)
        let needsSync = writes.contains { $0.change.needsSync }
        self.inFlight = writes
        self.removeBeginnings(writes)
        return Transaction(
            unwritten: needsSync ? self.unwrittenOutcomes(before: writes) : [], writes: writes,
            isSynced: needsSync || isOverdue)
    }

    /// Returns further changes, which arrived while the transaction is made and join it. A sync of its own and a retry
    /// are not extended.
    mutating func extendTransaction() -> [SpoolWrite] {
        guard !self.inFlight.isEmpty else { return [] }
        let writes = self.pending.extendBatch()
        if writes.isEmpty { return [] }
        self.inFlight += writes
        self.removeBeginnings(writes)
        return writes
    }

    /// Returns outcomes that the disk refused earlier, for a transaction that waits for the disk anyway. If a caller
    /// finishes such an operation again, the outcome is not returned: it is written once, in the transaction that the
    /// caller waits for, which may be a later one.
    private func unwrittenOutcomes(before writes: [SpoolWrite]) -> [SpoolChange.Finish] {
        guard !self.unwritten.isEmpty else { return [] }
        var again = self.pending.finishing
        for write in writes {
            if case .finish(let finish) = write.change { again.insert(finish.messageID) }
        }
        return Array(
            self.unwritten.lazy.filter { !again.contains($0.messageID) }.prefix(Self.unwrittenLimit))
    }

    /// Returns the retry of refused outcomes if it is time for it.
    private mutating func retry(_ now: DispatchTime) -> Turn? {
        guard let time = self.retryTime, time <= now else { return nil }
        self.retryTime = nil
        let outcomes = self.unwrittenOutcomes(before: [])
        if outcomes.isEmpty {
            self.scheduleRetry(now)
            return nil
        }
        return .write(Transaction(unwritten: outcomes, isSynced: true))
    }

    /// Schedules a retry, unless one is scheduled or nothing was refused.
    mutating func scheduleRetry(_ now: DispatchTime) {
        guard !self.unwritten.isEmpty else {
            self.retryTime = nil
            return
        }
        guard self.retryTime == nil else { return }
        self.retryTime = now + self.retryBackoff.next().dispatchInterval
    }

    /// Returns the next work of a spool that is being closed: the claim, then the changes, then what the disk refused
    /// for as long as it stores some of it, then a sync.
    private mutating func closingWork(_ now: DispatchTime, _ closing: inout Closing) -> Turn? {
        if self.claims.current != nil, !closing.hasClaimFailed, let turn = self.claimTurn() { return turn }
        if let transaction = self.nextTransaction(now) { return .write(transaction) }
        if !self.unwritten.isEmpty, closing.unwrittenBefore != self.unwritten.count {
            closing.unwrittenBefore = self.unwritten.count
            return .write(Transaction(unwritten: self.unwrittenOutcomes(before: []), isSynced: true))
        }
        guard !self.sync.isEmpty, !closing.hasSynced else { return nil }
        closing.hasSynced = true
        return .write(Transaction(isSynced: true))
    }

    /// Records that the claim failed while the spool is being closed: it is not retried.
    mutating func stopClaimWhileClosing() {
        guard case .closing(var closing) = self.phase else { return }
        closing.hasClaimFailed = true
        self.phase = .closing(closing)
    }
}
