// SPDX-License-Identifier: Apache-2.0

import DequeModule
import Dispatch
import Notifications
import Timing

/// The results of transactions.
extension SpoolWriterStateMachine {
    /// Starts to add the refused operations to the tally, in the transaction that is being made.
    ///
    /// - Returns: the number of refused operations.
    mutating func startRefusalTransfer() -> Int {
        if self.refusals > 0 { self.refusalTransfers = (true, self.refusalTransfers.count + 1) }
        return self.refusals
    }

    /// Records that a transaction was committed.
    ///
    /// - Parameters:
    ///   - isSynced: whether it waited for the disk.
    ///   - storesOutcomes: whether it contains a change that needs that.
    ///   - refusals: the number of refused operations that it added to the tally.
    ///   - origin: the owner of the spool that it recorded, if it did.
    /// - Returns: the names of a claim that is to be made again: the disk had no space to record its end, and has some
    ///   now. Empty when there is none.
    mutating func recordCommit(
        isSynced: Bool, storesOutcomes: Bool, refusals: Int, origin: SpoolOrigin?, _ now: DispatchTime
    ) -> [String] {
        self.refusals -= refusals
        self.refusalTransfers.isInProgress = false
        if origin != nil { self.unrecordedOrigin = nil }
        if storesOutcomes { self.hasStoredOutcomes = true }
        self.sync.recordCommit(isSynced: isSynced, now)
        return origin?.isBeingClaimed == true ? self.claims.names : []
    }

    /// Records that a transaction was rolled back.
    ///
    /// - Parameter refused: the number of its operations that the spool refused; the next transaction adds them to the
    ///   tally.
    mutating func recordFailure(refused: Int, isSyncOnly: Bool, _ now: DispatchTime) {
        self.refusals += refused
        self.refusalTransfers.isInProgress = false
        if isSyncOnly { self.sync.recordFailure(retryAt: now + Self.initialBackoff.minimum.dispatchInterval) }
    }

    /// Records the results of a transaction's changes. An outcome that the disk refused is stored in memory, so that the
    /// outcome is reported, and not an interruption.
    ///
    /// - Parameters:
    ///   - results: one for each change. In the result of a refused outcome, the error then says that it is stored in memory.
    ///   - isRunning: returns whether this agent has begun the operation and not finished it.
    /// - Returns: the number of outcomes that had been refused earlier and are on the disk now.
    mutating func recordResults(
        of transaction: Transaction, _ results: inout [Result<Void, OutboxError>], isRunning: (String) -> Bool,
        _ now: DispatchTime
    ) -> Int {
        self.inFlight = []
        let recovered = self.recordRetries(transaction.unwritten, results)
        for (index, write) in zip(transaction.unwritten.count..., transaction.writes) {
            switch (write.change, results[index]) {
            case (.finish(let finish), .success): self.removeUnwritten(finish)
            case (.finish(let finish), .failure(let error))
            where error.code != .notBegun && isRunning(finish.messageID):
                self.removeUnwritten(finish)
                self.unwritten.append(finish)
                results[index] = .failure(Self.storedInMemoryError(error))
            case (.remove, .success): self.isVacuumRequested = true
            default: break
            }
        }
        self.scheduleRetry(now)
        return recovered
    }

    private mutating func recordRetries(
        _ outcomes: [SpoolChange.Finish], _ results: [Result<Void, OutboxError>]
    ) -> Int {
        guard !outcomes.isEmpty else { return 0 }
        let stored = Set(zip(outcomes, results).lazy.filter { Self.isStored($0.1) }.map(\.0.messageID))
        guard !stored.isEmpty else { return 0 }
        self.unwritten.removeAll { stored.contains($0.messageID) }
        self.retryBackoff.reset()
        return stored.count
    }

    /// Whether an outcome that was written again is on the disk. The disk may have stored it the first time, although
    /// it reported an error.
    static func isStored(_ result: Result<Void, OutboxError>) -> Bool {
        switch result {
        case .success: true
        case .failure(let error): error.code == .notBegun
        }
    }

    private mutating func removeUnwritten(_ finish: SpoolChange.Finish) {
        guard !self.unwritten.isEmpty else { return }
        self.unwritten.removeAll { $0.messageID.hasSameBytes(as: finish.messageID) }
    }

    /// Records the length of the log in bytes.
    ///
    /// - Returns: whether it has grown so much since its last checkpoint that it must be checkpointed.
    mutating func recordLogSize(_ size: Int) -> Bool {
        // SQLite has restarted the log since.
        if size < self.checkpointedLogSize { self.checkpointedLogSize = 0 }
        return size >= self.checkpointedLogSize + SpoolFile.checkpointThreshold
    }
}
