import DequeModule

/// Decides what becomes of each message, without doing any of it: no socket, no clock, no thread.
///
/// A message enters once, through ``enqueue(_:)``, and leaves once, as an ``Outcome`` of whatever event settles it.
/// `Completion` is what the driver needs to tell its sender; to this machine it is a token.
struct PublisherStateMachine<Completion> {
    typealias Instant = ContinuousClock.Instant

    struct Item {
        var message: OutgoingMessage
        var completion: Completion
        /// When the sender must have an answer.
        var deadline: Instant
    }

    struct Outcome {
        var completion: Completion
        var result: Result<Void, PublishError>
    }

    /// What to do next for the messages that wait.
    enum Next {
        /// Send this, which is registered as unconfirmed already: its confirm may come before the call returns.
        case publish(OutgoingMessage)
        /// Declare and bind this queue, then tell ``declared(_:)`` or ``declarationRefused(_:error:until:)``.
        case declare(queue: String)
        /// Answer at once and ask again.
        case settle(Outcome)
        /// Nothing until another event.
        case none
    }

    enum TickAction {
        case none
        /// The broker has been silent for too long: drop the connection, then tell ``lost(_:)``.
        case dropConnection
        /// A drain has ended, with or without all confirms: close the connection, then tell ``closed()``.
        case close
    }

    fileprivate struct Unconfirmed {
        var message: OutgoingMessage
        /// nil once answered; the slot stays because the broker still counts its tag.
        var completion: Completion?
        var deadline: Instant
        var returned: String?
        var isSettled = false
    }

    private enum QueueState {
        /// Declared before the message with this tag was sent.
        case declared(beforeTag: UInt64)
        case refused(PublishError, until: Instant)
    }

    private enum State {
        case disconnected
        case open
        case draining(until: Instant)
        case closed
    }

    private let window: Int
    private let byteWindow: Int
    private var state = State.disconnected
    private var waiting = Deque<Item>()
    private var unconfirmed = Deque<Unconfirmed>()
    private var unanswered = 0
    /// Bytes of the bodies in `unconfirmed`.
    private var unconfirmedBytes = 0
    /// The delivery tag of the first of `unconfirmed`.
    private var firstTag: UInt64 = 1
    private var queues: [String: QueueState] = [:]
    private var alarm: String?
    private(set) var waitingBytes = 0
    /// Learnt from the broker; of this connection, as another broker may have another limit.
    private(set) var sizeLimit: Int?
    /// Messages confirmed on this connection.
    private(set) var confirmedCount = 0

    init(window: Int, byteWindow: Int = .max) {
        self.window = max(1, window)
        self.byteWindow = byteWindow
    }

    var waitingCount: Int { self.waiting.count }
    /// Sent and not yet answered.
    var unconfirmedCount: Int { self.unanswered }
    var blockedReason: String? { self.alarm }
    var isOpen: Bool {
        if case .open = self.state { true } else { false }
    }
    /// Whether `unconfirmed` is at its bound: messages wait for confirms, not for the driver.
    private var windowIsFull: Bool {
        self.unconfirmed.count >= self.window || self.unconfirmedBytes >= self.byteWindow
    }
    private var nextTag: UInt64 { self.firstTag + UInt64(self.unconfirmed.count) }

    /// When ``tick(now:)`` has something to do, if no other event comes first.
    var nextDeadline: Instant? {
        var deadline = self.unconfirmed.first { $0.completion != nil }?.deadline
        if let first = self.waiting.first { deadline = min(deadline ?? first.deadline, first.deadline) }
        if case .draining(let until) = self.state { deadline = min(deadline ?? until, until) }
        return deadline
    }

    // MARK: Connection

    /// A connection is open, its channel in confirm mode.
    mutating func connected() {
        guard case .disconnected = self.state else { return }
        self.state = .open
        self.sizeLimit = nil
        self.confirmedCount = 0
        self.resetChannel()
    }

    /// The connection is gone. Everything in hand is answered with `error`.
    mutating func lost(_ error: PublishError, now: Instant) -> [Outcome] {
        switch self.state {
        case .closed, .disconnected: break
        case .open: self.state = .disconnected
        case .draining: self.state = .closed
        }
        self.alarm = nil
        return self.failAll(error, now: now)
    }

    /// No more connections will be made.
    mutating func closed(now: Instant) -> [Outcome] {
        self.state = .closed
        self.alarm = nil
        return self.failAll(.shuttingDown, now: now)
    }

    /// Takes no new messages; those in hand have until `until` to be confirmed.
    mutating func shutdown(until: Instant) {
        switch self.state {
        case .open: self.state = .draining(until: until)
        case .disconnected: self.state = .closed
        case .draining, .closed: break
        }
    }

    mutating func blocked(_ reason: String) -> [Outcome] {
        self.alarm = reason
        // What was sent may be confirmed yet; what was not would only wait for the alarm to end.
        return self.failWaiting(.blocked(reason))
    }

    mutating func unblocked() {
        self.alarm = nil
    }

    // MARK: Messages

    /// Takes messages in the order in which they are to be sent; outcomes are those refused at once.
    mutating func enqueue(_ items: [Item]) -> [Outcome] {
        switch self.state {
        case .open: break
        case .disconnected:
            return items.map {
                Outcome($0.completion, PublishError(.notConnected, "there is no connection to a broker"))
            }
        case .draining, .closed:
            return items.map { Outcome($0.completion, .shuttingDown) }
        }
        if let alarm = self.alarm {
            return items.map { Outcome($0.completion, .blocked(alarm)) }
        }
        for item in items {
            self.waitingBytes += item.message.body.count
            self.waiting.append(item)
        }
        return []
    }

    mutating func next(now: Instant) -> Next {
        switch self.state {
        case .open, .draining: break
        case .disconnected, .closed: return .none
        }
        guard self.alarm == nil, let first = self.waiting.first, !self.windowIsFull else { return .none }
        if let limit = self.sizeLimit, first.message.body.count > limit {
            return .settle(Outcome(self.popWaiting().completion, .tooLarge(limit: limit)))
        }
        switch self.queues[first.message.queue] {
        case .declared:
            let item = self.popWaiting()
            self.unconfirmed.append(
                Unconfirmed(message: item.message, completion: item.completion, deadline: item.deadline))
            self.unanswered += 1
            self.unconfirmedBytes += item.message.body.count
            return .publish(item.message)
        case .refused(let error, let until) where now < until:
            return .settle(Outcome(self.popWaiting().completion, error))
        case .refused, nil:
            return .declare(queue: first.message.queue)
        }
    }

    mutating func declared(_ queue: String) {
        self.queues[queue] = .declared(beforeTag: self.nextTag)
    }

    /// Messages to the queue are answered with `error` until `until`; then a declaration is tried again.
    mutating func declarationRefused(_ queue: String, error: PublishError, until: Instant) {
        self.queues[queue] = .refused(error, until: until)
    }

    // MARK: Answers of the broker

    /// - Returns: nil when the broker confirms what was never sent, after which nothing it says can be relied upon.
    mutating func acknowledged(tag: UInt64, multiple: Bool, positively: Bool) -> [Outcome]? {
        let last = self.nextTag - 1
        let upTo = multiple && tag == 0 ? last : tag
        guard upTo <= last, upTo >= 1 || multiple else { return nil }
        var outcomes: [Outcome] = []
        if multiple {
            while self.firstTag <= upTo, let slot = self.unconfirmed.popFirst() {
                self.firstTag += 1
                self.unconfirmedBytes -= slot.message.body.count
                self.settle(slot, positively: positively, into: &outcomes)
            }
        } else if upTo >= self.firstTag {
            let index = Int(upTo - self.firstTag)
            self.settle(self.unconfirmed[index], positively: positively, into: &outcomes)
            self.unconfirmed[index].completion = nil
            self.unconfirmed[index].isSettled = true
            // Needed no more, and the slot may stay for long behind one that is not confirmed.
            self.unconfirmedBytes -= self.unconfirmed[index].message.body.count
            self.unconfirmed[index].message.body = []
            while self.unconfirmed.first?.isSettled == true {
                self.unconfirmed.removeFirst()
                self.firstTag += 1
            }
        }
        return outcomes
    }

    /// The broker had no queue for a message; its confirm follows. False when no such message is known.
    mutating func returned(queue: String, body: [UInt8], reason: String) -> Bool {
        let index = self.unconfirmed.firstIndex {
            $0.returned == nil && !$0.isSettled && $0.message.queue == queue && $0.message.body == body
        }
        guard let index else { return false }
        self.unconfirmed[index].returned = reason
        // A message sent before the latest declaration says nothing about the queue as it is now.
        if case .declared(let beforeTag) = self.queues[queue], self.firstTag + UInt64(index) >= beforeTag {
            self.queues[queue] = nil
        }
        return true
    }

    /// The broker closed the channel: `sizeLimit` when it did so because a message was larger. The driver opens it again;
    /// tags are then counted from 1.
    mutating func channelClosed(_ error: PublishError, sizeLimit: Int?, now: Instant) -> [Outcome] {
        if let sizeLimit { self.sizeLimit = min(sizeLimit, self.sizeLimit ?? sizeLimit) }
        var outcomes: [Outcome] = []
        for slot in self.unconfirmed {
            guard let completion = slot.completion else { continue }
            if let sizeLimit, slot.message.body.count > sizeLimit {
                outcomes.append(Outcome(completion, .tooLarge(limit: sizeLimit)))
            } else {
                outcomes.append(Outcome(completion, slot.deadline <= now ? .timedOut : error))
            }
        }
        self.resetChannel()
        return outcomes
    }

    // MARK: Time

    mutating func tick(now: Instant) -> (action: TickAction, outcomes: [Outcome]) {
        switch self.state {
        case .disconnected, .closed:
            return (.none, [])
        case .draining(let until):
            if now >= until || (self.waiting.isEmpty && self.unanswered == 0) {
                return (.close, [])
            }
        case .open: break
        }
        if let alarm = self.alarm {
            // The broker said that it would not answer: that is no reason to leave it.
            var outcomes: [Outcome] = []
            for index in self.unconfirmed.indices where self.unconfirmed[index].deadline <= now {
                guard let completion = self.unconfirmed[index].completion else { continue }
                self.unconfirmed[index].completion = nil
                self.unanswered -= 1
                outcomes.append(Outcome(completion, .blocked(alarm)))
            }
            return (.none, outcomes)
        }
        if let oldest = self.unconfirmed.first(where: { $0.completion != nil }), oldest.deadline <= now {
            return (.dropConnection, [])
        }
        if self.windowIsFull, let first = self.waiting.first, first.deadline <= now {
            // All slots were answered during an alarm, and the broker has not confirmed one since it ended.
            return (.dropConnection, [])
        }
        var outcomes: [Outcome] = []
        while let first = self.waiting.first, first.deadline <= now {
            outcomes.append(Outcome(self.popWaiting().completion, .timedOut))
        }
        return (.none, outcomes)
    }

    // MARK: Parts

    private mutating func popWaiting() -> Item {
        let item = self.waiting.removeFirst()
        self.waitingBytes -= item.message.body.count
        return item
    }

    private mutating func settle(_ slot: Unconfirmed, positively: Bool, into outcomes: inout [Outcome]) {
        guard let completion = slot.completion else { return }
        self.unanswered -= 1
        if !positively {
            outcomes.append(Outcome(completion, .nacked))
        } else if let reason = slot.returned {
            let error = PublishError(
                .returned, "the broker had no queue for the message (\(reason)); the queue is declared again")
            outcomes.append(Outcome(completion, error))
        } else {
            self.confirmedCount += 1
            outcomes.append(Outcome(completion: completion, result: .success(())))
        }
    }

    private mutating func failWaiting(_ error: PublishError) -> [Outcome] {
        defer {
            self.waiting.removeAll()
            self.waitingBytes = 0
        }
        return self.waiting.map { Outcome($0.completion, error) }
    }

    private mutating func failAll(_ error: PublishError, now: Instant) -> [Outcome] {
        var outcomes: [Outcome] = []
        for slot in self.unconfirmed {
            guard let completion = slot.completion else { continue }
            outcomes.append(Outcome(completion, slot.deadline <= now ? .timedOut : error))
        }
        outcomes += self.failWaiting(error)
        self.resetChannel()
        return outcomes
    }

    private mutating func resetChannel() {
        self.unconfirmed.removeAll(keepingCapacity: true)
        self.unanswered = 0
        self.unconfirmedBytes = 0
        self.firstTag = 1
        self.queues.removeAll(keepingCapacity: true)
    }
}

extension PublisherStateMachine.Outcome {
    init(_ completion: Completion, _ error: PublishError) {
        self.init(completion: completion, result: .failure(error))
    }
}

extension PublisherStateMachine: Sendable where Completion: Sendable {}
extension PublisherStateMachine.Item: Sendable where Completion: Sendable {}
extension PublisherStateMachine.Outcome: Sendable where Completion: Sendable {}
extension PublisherStateMachine.Unconfirmed: Sendable where Completion: Sendable {}
