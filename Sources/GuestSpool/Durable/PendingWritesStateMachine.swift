// SPDX-License-Identifier: Apache-2.0

import DequeModule
import Dispatch

/// The changes that no transaction has taken yet, and the rule that selects those of the next transaction.
///
/// Changes that need no `fsync` (unsynced) go into separate transactions, which take turns with transactions of changes
/// that need one (synced). So an operation that begins waits for at most one transaction of other operations' outcomes,
/// and while beginnings are committed, outcomes gather that then share one `fsync`. A caller that awaits each change
/// before it requests the operation's next one is safe: no change overtakes another that it depends on.
///
/// A transaction also takes changes that arrive until it is committed. The callers of the last transaction resume one
/// after the other, about as fast as changes are made. So all their next changes are in the next transaction, and no
/// change waits for them.
struct PendingWritesStateMachine {
    /// The maximum number of changes and of bytes in one transaction: the last change waits for all of them.
    private static let batchLimit = (count: 512, bytes: 4 << 20)
    /// The maximum number of unsynced transactions in a row while outcomes wait. It is more than one because callers
    /// whose outcomes have just been answered begin their next operations now, and the outcomes of those can share the
    /// `fsync` of the waiting ones.
    private static let unsyncedLimit = 4

    private var unsynced: Deque<SpoolWrite> = []
    private var synced: Deque<SpoolWrite> = []
    /// Operations that may not begin yet.
    private var held: Deque<SpoolWrite> = []
    /// Whether operations that are to begin are held back.
    private(set) var isHolding = false
    /// The number of unsynced transactions in a row.
    private var unsyncedInARow = 0
    /// The transaction that was started last.
    private var transaction = (needsSync: false, count: 0, bytes: 0)

    /// Creates an empty queue.
    init() {}

    var count: Int { self.unsynced.count + self.synced.count + self.held.count }
    var isEmpty: Bool { self.count == 0 }
    /// Whether there are changes for a transaction: those that are held back do not count.
    var hasNext: Bool { !self.unsynced.isEmpty || !self.synced.isEmpty }

    /// The message ids of the operations whose outcomes are in the queue.
    var finishing: Set<String> {
        var messageIDs: Set<String> = []
        for write in self.synced {
            if case .finish(let finish) = write.change { messageIDs.insert(finish.messageID) }
        }
        return messageIDs
    }

    mutating func append(_ write: SpoolWrite) {
        if self.isHolding, write.change.isBegin {
            self.held.append(write)
        } else if write.change.needsSync {
            self.synced.append(write)
        } else {
            self.unsynced.append(write)
        }
    }

    /// Holds operations back from now on, so that none begins. All other changes are made.
    mutating func holdBeginnings() {
        self.isHolding = true
        self.held += self.unsynced.filter(\.change.isBegin)
        self.unsynced.removeAll(where: \.change.isBegin)
    }

    /// Lets operations begin again, first those that were held back.
    mutating func releaseBeginnings() {
        self.isHolding = false
        self.unsynced = self.held + self.unsynced
        self.held = []
    }

    /// Removes and returns the operations that were held back; later ones are still held back.
    mutating func removeHeld() -> Deque<SpoolWrite> {
        defer { self.held = [] }
        return self.held
    }

    /// Removes and returns those of the operations that were held back whose callers stop waiting.
    mutating func removeOverdueHeld(_ now: DispatchTime) -> Deque<SpoolWrite> {
        let overdue = self.held.filter { $0.deadline <= now }
        if !overdue.isEmpty { self.held.removeAll { $0.deadline <= now } }
        return overdue
    }

    /// Returns the first changes of the next transaction, oldest first; none when the queue is empty.
    ///
    /// - Parameter isSyncOverdue: whether the transaction must wait for the disk in any case; then outcomes go first,
    ///   which wait for the disk too.
    mutating func startBatch(isSyncOverdue: Bool = false) -> [SpoolWrite] {
        let isOutcomesTurn = (isSyncOverdue || self.unsyncedInARow >= Self.unsyncedLimit) && !self.synced.isEmpty
        let needsSync = self.unsynced.isEmpty || isOutcomesTurn
        self.unsyncedInARow = needsSync ? 0 : self.unsyncedInARow + 1
        self.transaction = (needsSync, 0, 0)
        return self.extendBatch()
    }

    /// Records that a transaction has ended. When nothing waits, the count of unsynced transactions begins again.
    mutating func endBatch() {
        if !self.hasNext { self.unsyncedInARow = 0 }
    }

    /// Returns further changes for the transaction that was started last; none when it is full or no more have arrived.
    mutating func extendBatch() -> [SpoolWrite] {
        if self.transaction.needsSync { return Self.take(&self.synced, &self.transaction) }
        return Self.take(&self.unsynced, &self.transaction)
    }

    private static func take(
        _ writes: inout Deque<SpoolWrite>, _ transaction: inout (needsSync: Bool, count: Int, bytes: Int)
    ) -> [SpoolWrite] {
        var batch: [SpoolWrite] = []
        while transaction.count < Self.batchLimit.count, transaction.bytes < Self.batchLimit.bytes,
            let write = writes.popFirst()
        {
            transaction.count += 1
            transaction.bytes += write.change.byteCount
            batch.append(write)
        }
        return batch
    }

    /// Removes and returns the changes whose callers stop waiting, except those that are held back.
    mutating func removeOverdue(_ now: DispatchTime) -> [SpoolWrite] {
        let overdue = [self.unsynced, self.synced].flatMap { $0.filter { $0.deadline <= now } }
        guard !overdue.isEmpty else { return [] }
        self.unsynced.removeAll { $0.deadline <= now }
        self.synced.removeAll { $0.deadline <= now }
        return overdue
    }
}
