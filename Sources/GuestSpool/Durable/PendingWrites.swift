import DequeModule
import Dispatch

/// Changes that no transaction has taken yet, and which of them make up the next one.
///
/// What need not wait for the disk goes in transactions of its own, in turn with what must: who begins an operation waits for one
/// transaction of others' outcomes at most, and while beginnings are committed outcomes gather that then share one `fsync`. Who
/// waits for each change before asking for the operation's next has nothing overtaken that it rests on.
///
/// A transaction takes along what comes until it is committed: whoever was told of the last one comes back one after the other,
/// about as fast as changes are made, and so all of them are in the next without anybody waiting for them.
struct PendingWrites {
    /// Changes and bytes in one transaction, at most: the last one waits for all of them.
    private static let batchLimit = (count: 512, bytes: 4 << 20)
    /// Transactions that outcomes let go first: more than one, since whoever was told of the last outcomes begins the next
    /// operations now, and their outcomes can share the `fsync` of those that wait.
    private static let unsyncedLimit = 4

    private var unsynced: Deque<SpoolWrite> = []
    private var synced: Deque<SpoolWrite> = []
    /// Operations that may not begin yet.
    private var held: Deque<SpoolWrite> = []
    /// Whether operations that are to begin are held back.
    private(set) var isHolding = false
    /// Transactions in a row that did not wait for the disk.
    private var unsyncedInARow = 0
    /// The transaction that was begun last.
    private var transaction = (needsSync: false, count: 0, bytes: 0)

    /// Nothing is asked for.
    init() {}

    var count: Int { self.unsynced.count + self.synced.count + self.held.count }
    var isEmpty: Bool { self.count == 0 }

    /// The operations whose outcome is asked for.
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

    /// From now on no operation begins. All other changes are made.
    mutating func holdBeginnings() {
        self.isHolding = true
        self.held += self.unsynced.filter(\.change.isBegin)
        self.unsynced.removeAll(where: \.change.isBegin)
    }

    /// Operations begin again, those that were held back first.
    mutating func releaseBeginnings() {
        self.isHolding = false
        self.unsynced = self.held + self.unsynced
        self.held = []
    }

    /// Takes out operations that were held back, and holds back those to come.
    mutating func takeHeld() -> Deque<SpoolWrite> {
        defer { self.held = [] }
        return self.held
    }

    /// Takes out those operations that were held back whose callers stop waiting.
    mutating func takeOverdueHeld(_ now: DispatchTime) -> Deque<SpoolWrite> {
        let overdue = self.held.filter { $0.deadline <= now }
        if !overdue.isEmpty { self.held.removeAll { $0.deadline <= now } }
        return overdue
    }

    /// What the next transaction is to begin with, oldest first; nothing when nothing is asked for.
    mutating func takeBatch() -> [SpoolWrite] {
        let isTurnOver = self.unsyncedInARow >= Self.unsyncedLimit && !self.synced.isEmpty
        let needsSync = self.unsynced.isEmpty || isTurnOver
        self.unsyncedInARow = needsSync ? 0 : self.unsyncedInARow + 1
        self.transaction = (needsSync, 0, 0)
        return self.takeMore()
    }

    /// What the transaction that was begun last is to take along besides; nothing when it is full, too.
    mutating func takeMore() -> [SpoolWrite] {
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
            transaction.bytes += write.change.size
            batch.append(write)
        }
        return batch
    }

    /// Takes out those whose callers stop waiting, of all that is not held back.
    mutating func takeOverdue(_ now: DispatchTime) -> [SpoolWrite] {
        let overdue = [self.unsynced, self.synced].flatMap { $0.filter { $0.deadline <= now } }
        guard !overdue.isEmpty else { return [] }
        self.unsynced.removeAll { $0.deadline <= now }
        self.synced.removeAll { $0.deadline <= now }
        return overdue
    }
}
