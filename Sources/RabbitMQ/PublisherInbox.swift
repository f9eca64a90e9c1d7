// SPDX-License-Identifier: Apache-2.0

package import DriverErrors

/// Reports to the sender whether its message was confirmed. Called once.
package typealias PublishCompletion = @Sendable (Result<Void, DriverError>) -> Void

/// The queue between senders, on any thread, and the publisher's thread. A value; ``PublisherWorker`` keeps it behind a
/// lock.
struct PublisherInbox {
    typealias Item = PublisherStateMachine<PublishCompletion>.Item

    /// The way to stop; later cases are more urgent.
    enum Stop: Int {
        /// Waits for outstanding confirms first.
        case draining
        case immediately
    }

    private let capacity: Int
    private let byteCapacity: Int
    private var items: [Item] = []
    private var bytes = 0
    /// The number of messages that the thread has taken, but that still wait for space in the window. They count
    /// towards the capacity.
    private var takenCount = 0
    private var takenBytes = 0
    private var quotas: SenderQuotaStateMachine
    private var hasBegun = false
    private var wake: WakeUpEvent?
    /// Whether messages have arrived since the thread last took some, and the thread was not woken yet.
    private var isWakeDue = false
    /// The error for new messages; nil while messages are accepted.
    var rejection: DriverError? = DriverError(.notConnected, "the publisher has not started yet")
    var sizeLimit: Int?
    private(set) var stop: Stop?
    var status = PublisherStatus()

    init(capacity: Int, byteCapacity: Int) {
        self.capacity = capacity
        self.byteCapacity = byteCapacity
        self.quotas = SenderQuotaStateMachine(capacity: capacity, byteCapacity: byteCapacity)
    }

    /// Sets the event that wakes the thread.
    ///
    /// - Returns: false if this was called before.
    mutating func begin(_ wake: WakeUpEvent) -> Bool {
        guard !self.hasBegun else { return false }
        self.hasBegun = true
        self.wake = wake
        return true
    }

    /// Records that the publisher's thread has ended.
    mutating func end() {
        self.wake = nil
        self.rejection = DriverError.shuttingDown.asUnsent
        self.status.host = nil
        self.status.blocked = false
        self.status.unconfirmed = 0
        self.status.inbox = 0
    }

    mutating func requestStop(_ stop: Stop) -> WakeUpEvent? {
        if stop.rawValue > self.stop?.rawValue ?? -1 { self.stop = stop }
        return self.wake
    }

    /// Adds a message, unless it must be rejected.
    ///
    /// - Parameter timeout: Counted from now. The clock is read here, so that deadlines are in the order of the
    ///   messages.
    /// - Returns: why the message is rejected; nil when it is accepted, and then ``takeWake()`` must follow.
    mutating func enqueue(
        _ message: OutgoingMessage, timeout: Duration, completion: @escaping PublishCompletion
    ) -> DriverError? {
        if let rejection = self.rejection { return rejection }
        let size = message.body.count
        if let limit = self.sizeLimit, size > limit { return .tooLarge(limit: limit) }
        let count = self.items.count + self.takenCount
        let bytes = self.bytes + self.takenBytes
        // An empty inbox accepts a message of any size.
        guard count < self.capacity, bytes + size <= self.byteCapacity || count == 0 else { return .inboxFull }
        let flow = self.quotas.reserve(
            message.sender, bytes: size, countLeft: self.capacity - count, bytesLeft: self.byteCapacity - bytes)
        guard let flow else { return .senderQuotaExceeded }
        if self.items.isEmpty { self.isWakeDue = true }
        let now = ContinuousClock.now
        self.items.append(
            Item(
                message: message, completion: completion, deadline: now + timeout,
                // The rest of the time is the broker's. A backlog that the sender causes must not count as the broker's
                // delay.
                sendBy: now + timeout / 2, flow: flow))
        self.bytes += size
        return nil
    }

    /// Returns the event that wakes the thread; nil when the thread was woken already, or no messages have arrived.
    mutating func takeWake() -> WakeUpEvent? {
        guard self.isWakeDue else { return nil }
        self.isWakeDue = false
        return self.wake
    }

    /// Moves all messages to `batch`, so that each sender's messages get their turn, unless none could be used now.
    ///
    /// - Parameters:
    ///   - isWanted: whether messages could be sent now, or must be answered.
    ///   - count: the number of messages that were taken earlier and still wait.
    ///   - bytes: their bytes.
    mutating func take(if isWanted: Bool, stillWaiting count: Int, bytes: Int, into batch: inout [Item]) {
        self.takenCount = count
        self.takenBytes = bytes
        if isWanted {
            swap(&self.items, &batch)
            self.isWakeDue = false
            self.takenCount += batch.count
            self.takenBytes += self.bytes
            self.bytes = 0
        }
        self.status.inbox = self.items.count + self.takenCount
    }

    /// Releases the senders' quotas for messages that are no longer outstanding.
    mutating func release(_ released: [PublisherStateMachine<PublishCompletion>.Release]) {
        for release in released { self.quotas.release(release.flow, bytes: release.bytes) }
    }
}
