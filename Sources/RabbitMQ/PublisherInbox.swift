/// Tells the sender of a message what became of it. Called once.
package typealias PublishCompletion = @Sendable (Result<Void, PublishError>) -> Void

/// Where senders, on any thread, meet the publisher's thread. A value; ``Publisher`` keeps it behind a lock.
struct PublisherInbox {
    typealias Item = PublisherStateMachine<PublishCompletion>.Item

    /// How to stop, the later being the more urgent.
    enum Stop: Int {
        /// Wait for outstanding confirms first.
        case draining
        case atOnce
    }

    private let capacity: Int
    private let byteCapacity: Int
    private var items: [Item] = []
    private var bytes = 0
    /// Taken out, but still waiting for room in the window: they count towards the capacity.
    private var heldCount = 0
    private var heldBytes = 0
    private var shares: SenderShares
    private var hasBegun = false
    private var wake: WakeUp?
    /// Messages have come since the thread looked, and it was not woken yet.
    private var isWakeDue = false
    /// nil while messages are taken.
    var refusal: PublishError? = PublishError(.notConnected, "the publisher does not run yet")
    var sizeLimit: Int?
    private(set) var stop: Stop?
    var status = PublisherStatus()

    init(capacity: Int, byteCapacity: Int) {
        self.capacity = capacity
        self.byteCapacity = byteCapacity
        self.shares = SenderShares(capacity: capacity, byteCapacity: byteCapacity)
    }

    /// False when it has begun before.
    mutating func begin(_ wake: WakeUp) -> Bool {
        guard !self.hasBegun else { return false }
        self.hasBegun = true
        self.wake = wake
        return true
    }

    /// The publisher's thread has ended.
    mutating func end() {
        self.wake = nil
        self.refusal = PublishError.shuttingDown.ofUnsent
        self.status.host = nil
        self.status.blocked = false
        self.status.unconfirmed = 0
        self.status.inbox = 0
    }

    mutating func requestStop(_ stop: Stop) -> WakeUp? {
        if stop.rawValue > self.stop?.rawValue ?? -1 { self.stop = stop }
        return self.wake
    }

    /// - Parameter timeout: Counted from now; the time is read here so that deadlines are in the order of the messages.
    /// - Returns: why it is not taken; nil when it is, and then ``takeWake()`` must follow.
    mutating func offer(
        _ message: OutgoingMessage, timeout: Duration, completion: @escaping PublishCompletion
    ) -> PublishError? {
        if let refusal = self.refusal { return refusal }
        let size = message.body.count
        if let limit = self.sizeLimit, size > limit { return .tooLarge(limit: limit) }
        let count = self.items.count + self.heldCount
        let bytes = self.bytes + self.heldBytes
        // One message always fits, however small the inbox.
        guard count < self.capacity, bytes + size <= self.byteCapacity || count == 0 else { return .inboxFull }
        let flow = self.shares.take(
            message.sender, bytes: size, countLeft: self.capacity - count, bytesLeft: self.byteCapacity - bytes)
        guard let flow else { return .senderShareFull }
        if self.items.isEmpty { self.isWakeDue = true }
        let now = ContinuousClock.now
        self.items.append(
            Item(
                message: message, completion: completion, deadline: now + timeout,
                // The rest of the time is the broker's: a queue of its sender's own making is not the broker's fault.
                sendBy: now + timeout / 2, flow: flow))
        self.bytes += size
        return nil
    }

    /// What to wake the thread with; nil when it has been woken, or has nothing to wake for.
    mutating func takeWake() -> WakeUp? {
        guard self.isWakeDue else { return nil }
        self.isWakeDue = false
        return self.wake
    }

    /// Takes everything, so that each sender's messages have their turn, unless nothing of it could be sent now.
    ///
    /// - Parameters:
    ///   - isWanted: whether anything could be sent.
    ///   - count: how many of those that were taken before still wait.
    ///   - bytes: their bytes.
    mutating func take(if isWanted: Bool, stillHeld count: Int, bytes: Int, into batch: inout [Item]) {
        self.heldCount = count
        self.heldBytes = bytes
        if isWanted {
            swap(&self.items, &batch)
            self.isWakeDue = false
            self.heldCount += batch.count
            self.heldBytes += self.bytes
            self.bytes = 0
        }
        self.status.inbox = self.items.count + self.heldCount
    }

    /// Gives back what senders have in hand no longer.
    mutating func release(_ released: [PublisherStateMachine<PublishCompletion>.Release]) {
        for release in released { self.shares.release(release.flow, bytes: release.bytes) }
    }
}
