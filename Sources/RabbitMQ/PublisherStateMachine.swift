// SPDX-License-Identifier: Apache-2.0

import DequeModule
import DriverErrors

/// A state machine that decides the outcome of each message. It has no socket, no clock and no thread.
///
/// A message enters once, through ``enqueue(_:)``, and leaves once, as the ``Outcome`` of an event. With the
/// `Completion` the driver answers the sender; to this machine it is an opaque token.
struct PublisherStateMachine<Completion> {
    typealias Instant = ContinuousClock.Instant

    struct Item {
        var message: OutgoingMessage
        var completion: Completion
        /// The time by which the sender must have an answer.
        var deadline: Instant
        /// The time from which it is too late to send the message, because the broker would have no time to confirm it;
        /// nil for the deadline.
        var sendBy: Instant?
        /// The number of the sender's flow, from ``SenderQuotaStateMachine``.
        var flow = DeficitRoundRobinQueue<Item>.own
    }

    /// Bytes of one sender that are no longer outstanding.
    struct Release: Equatable {
        var flow: Int
        var bytes: Int
    }

    struct Outcome {
        var completion: Completion
        var result: Result<Void, DriverError>
    }

    /// The next action for the waiting messages.
    enum Next {
        /// Send this message. It is registered as unconfirmed already, because its confirm may come before the call
        /// returns.
        case publish(OutgoingMessage)
        /// Declare and bind this queue, then call ``declared(_:)`` or ``declarationRejected(_:error:until:)``.
        case declare(queue: String)
        /// Answer the sender at once, then ask for the next action.
        case complete(Outcome)
        /// Do nothing until another event.
        case none
    }

    enum TickAction {
        case none
        /// The broker has been silent for too long: drop the connection, then call ``connectionLost(_:now:)``.
        case dropConnection
        /// A drain has ended, with or without all confirms: close the connection, then call ``publisherStopped(now:)``.
        case close
    }

    fileprivate struct Unconfirmed {
        var message: OutgoingMessage
        /// nil once answered; the slot stays because the broker still counts its tag.
        var completion: Completion?
        var deadline: Instant
        var flow: Int
        var returned: String?
        var isAcknowledged = false
    }

    private enum QueueState {
        /// Declared before the message with this tag was sent.
        case declared(beforeTag: UInt64)
        case rejected(DriverError, until: Instant)
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
    private var waiting: DeficitRoundRobinQueue<Item>
    private var unconfirmed = Deque<Unconfirmed>()
    private var unanswered = 0
    /// The total size in bytes of the bodies in `unconfirmed`.
    private var unconfirmedBytes = 0
    /// The delivery tag of the first of `unconfirmed`.
    private var firstTag: UInt64 = 1
    private var queues: [String: QueueState] = [:]
    private var alarm: String?
    /// A time before which no unanswered message has its deadline.
    private var earliestDeadlineBound: Instant?
    private var released: [Release] = []
    /// The largest body that the broker of this connection accepts, once a rejection has shown it. Another broker may
    /// have another limit.
    private(set) var sizeLimit: Int?
    /// The number of messages confirmed on this connection.
    private(set) var confirmedCount = 0

    /// - Parameter senderWindow: the maximum number of bytes of one sender that are sent and not yet confirmed.
    init(window: Int, byteWindow: Int = .max, senderWindow: Int = .max) {
        self.window = max(1, window)
        self.byteWindow = byteWindow
        self.waiting = DeficitRoundRobinQueue(bytesInFlight: senderWindow)
    }

    var waitingCount: Int { self.waiting.count }
    var waitingBytes: Int { self.waiting.bytes }
    /// The number of messages sent and not yet answered.
    var unconfirmedCount: Int { self.unanswered }
    var blockedReason: String? { self.alarm }
    var isOpen: Bool {
        if case .open = self.state { true } else { false }
    }
    /// Whether to enqueue more messages now: they can be sent, or must be answered. While the window is full and the
    /// broker owes confirms, they can stay in the inbox.
    var wantsMessages: Bool { !self.isWindowFull || self.unanswered == 0 || self.alarm != nil || !self.isOpen }
    /// Whether `unconfirmed` has reached its limit, so that messages wait for confirms and not for the driver.
    private var isWindowFull: Bool {
        self.unconfirmed.count >= self.window || self.unconfirmedBytes >= self.byteWindow
    }
    private var nextTag: UInt64 { self.firstTag + UInt64(self.unconfirmed.count) }

    /// The time at which ``tick(now:)`` has something to do, if no other event comes first.
    var nextDeadline: Instant? {
        var deadline = self.unanswered == 0 ? nil : self.earliestDeadlineBound
        if let expiry = self.waiting.nextExpiry { deadline = min(deadline ?? expiry, expiry) }
        if case .draining(let until) = self.state { deadline = min(deadline ?? until, until) }
        return deadline
    }

    // MARK: Connection

    /// Records that a connection is open and its channel is in confirm mode.
    mutating func connected() {
        guard case .disconnected = self.state else { return }
        self.state = .open
        self.sizeLimit = nil
        self.confirmedCount = 0
        self.resetChannel()
    }

    /// Records that the connection was lost. Every outstanding message is answered with `error`, or as timed out if it
    /// was sent and its deadline has passed. Errors of messages that were not sent are marked so.
    mutating func connectionLost(_ error: DriverError, now: Instant) -> [Outcome] {
        switch self.state {
        case .closed, .disconnected: break
        case .open: self.state = .disconnected
        case .draining: self.state = .closed
        }
        self.alarm = nil
        return self.failAll(error, now: now)
    }

    /// Records that no more connections will be made.
    mutating func publisherStopped(now: Instant) -> [Outcome] {
        self.state = .closed
        self.alarm = nil
        return self.failAll(.shuttingDown, now: now)
    }

    /// Rejects new messages from now on; outstanding ones have until `until` to be confirmed.
    mutating func shutdown(until: Instant) {
        switch self.state {
        case .open: self.state = .draining(until: until)
        case .disconnected: self.state = .closed
        case .draining, .closed: break
        }
    }

    mutating func blocked(_ reason: String) -> [Outcome] {
        self.alarm = reason
        // Messages that were sent may still be confirmed. The others would only wait for the end of the alarm.
        return self.failWaiting(.blocked(reason))
    }

    mutating func unblocked() {
        self.alarm = nil
    }

    // MARK: Messages

    /// Adds messages; those of one sender are sent in this order.
    ///
    /// - Returns: the outcomes of messages that are rejected at once.
    mutating func enqueue(_ items: [Item]) -> [Outcome] {
        switch self.state {
        case .open: break
        case .disconnected:
            return self.reject(items, DriverError(.notConnected, "there is no connection to RabbitMQ"))
        case .draining, .closed:
            return self.reject(items, DriverError.shuttingDown.asUnsent)
        }
        if let alarm = self.alarm { return self.reject(items, .blocked(alarm)) }
        for item in items {
            self.waiting.append(
                item, bytes: item.message.body.count, sendBy: item.sendBy ?? item.deadline, flow: item.flow)
        }
        return []
    }

    mutating func next(now: Instant) -> Next {
        switch self.state {
        case .open, .draining: break
        case .disconnected, .closed: return .none
        }
        guard self.alarm == nil, !self.isWindowFull, let first = self.waiting.first() else { return .none }
        if let limit = self.sizeLimit, first.message.body.count > limit {
            return self.completeFirst(first, .tooLarge(limit: limit))
        }
        switch self.queues[first.message.queue] {
        case .declared:
            self.waiting.popFirst(isSent: true)
            self.unconfirmed.append(
                Unconfirmed(
                    message: first.message, completion: first.completion, deadline: first.deadline, flow: first.flow))
            self.earliestDeadlineBound =
                self.unanswered == 0
                ? first.deadline : min(self.earliestDeadlineBound ?? first.deadline, first.deadline)
            self.unanswered += 1
            self.unconfirmedBytes += first.message.body.count
            return .publish(first.message)
        case .rejected(let error, let until) where now < until:
            return self.completeFirst(first, error)
        case .rejected, nil:
            return .declare(queue: first.message.queue)
        }
    }

    private mutating func completeFirst(_ item: Item, _ error: DriverError) -> Next {
        self.waiting.popFirst(isSent: false)
        self.release(item)
        return .complete(Outcome(item.completion, error))
    }

    mutating func declared(_ queue: String) {
        self.queues[queue] = .declared(beforeTag: self.nextTag)
    }

    /// Records a rejected declaration. Messages to the queue are answered with `error` until `until`; then the
    /// declaration is retried.
    mutating func declarationRejected(_ queue: String, error: DriverError, until: Instant) {
        self.queues[queue] = .rejected(error, until: until)
    }

    // MARK: Answers of the broker

    /// Records a confirm (`basic.ack` or `basic.nack`).
    ///
    /// - Returns: nil when the broker confirms a message that was never sent; then nothing that it sends can be
    ///   trusted.
    mutating func acknowledged(tag: UInt64, multiple: Bool, positively: Bool) -> [Outcome]? {
        let last = self.nextTag - 1
        let upTo = multiple && tag == 0 ? last : tag
        guard upTo <= last, upTo >= 1 || multiple else { return nil }
        var outcomes: [Outcome] = []
        if multiple {
            while self.firstTag <= upTo, let slot = self.unconfirmed.popFirst() {
                self.firstTag += 1
                // A message that was confirmed out of order was completed then.
                if !slot.isAcknowledged { self.complete(slot) }
                self.acknowledge(slot, positively: positively, into: &outcomes)
            }
        } else if upTo >= self.firstTag {
            let index = Int(upTo - self.firstTag)
            // A second confirm of the same message changes nothing.
            guard !self.unconfirmed[index].isAcknowledged else { return outcomes }
            self.acknowledge(self.unconfirmed[index], positively: positively, into: &outcomes)
            self.unconfirmed[index].completion = nil
            self.unconfirmed[index].isAcknowledged = true
            // Frees the body: the slot may stay for a long time behind one that is not confirmed.
            self.complete(self.unconfirmed[index])
            self.unconfirmed[index].message.body = []
            while self.unconfirmed.first?.isAcknowledged == true {
                self.unconfirmed.removeFirst()
                self.firstTag += 1
            }
        }
        return outcomes
    }

    /// Records that the broker had no queue for a message; the message's confirm follows. Returns false for an unknown
    /// message.
    mutating func returned(queue: String, body: [UInt8], reason: String) -> Bool {
        let index = self.unconfirmed.firstIndex {
            $0.returned == nil && !$0.isAcknowledged && $0.message.queue == queue && $0.message.body == body
        }
        guard let index else { return false }
        self.unconfirmed[index].returned = reason
        // A message sent before the latest declaration says nothing about the queue as it is now.
        if case .declared(let beforeTag) = self.queues[queue], self.firstTag + UInt64(index) >= beforeTag {
            self.queues[queue] = nil
        }
        return true
    }

    /// Records that the broker closed the channel. The driver reopens it, and tags count from 1 again.
    ///
    /// - Parameter sizeLimit: the broker's limit, if it closed the channel because a message was larger.
    mutating func channelClosed(_ error: DriverError, sizeLimit: Int?, now: Instant) -> [Outcome] {
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
            // The broker has announced that it does not confirm for now, so its silence is no reason to drop the
            // connection.
            var outcomes: [Outcome] = []
            for index in self.unconfirmed.indices where self.unconfirmed[index].deadline <= now {
                guard let completion = self.unconfirmed[index].completion else { continue }
                self.unconfirmed[index].completion = nil
                self.unanswered -= 1
                outcomes.append(Outcome(completion, .timedOut(duringAlarm: alarm)))
            }
            if let bound = self.earliestDeadlineBound, bound <= now {
                self.earliestDeadlineBound = self.earliestUnanswered
            }
            return (.none, outcomes)
        }
        if self.updateOverdue(now: now) { return (.dropConnection, []) }
        if self.isWindowFull, self.unanswered == 0, let expiry = self.waiting.nextExpiry, expiry <= now {
            // All slots timed out during an alarm, and the broker has confirmed none since the alarm ended.
            return (.dropConnection, [])
        }
        return (.none, self.reject(self.waiting.expire(now: now), .notSentInTime))
    }

    /// Returns whether a confirm is overdue. Senders are served in turn, so the first message sent is not always the
    /// first one due: all are checked, but not before one can be overdue.
    private mutating func updateOverdue(now: Instant) -> Bool {
        guard self.unanswered > 0, let bound = self.earliestDeadlineBound, bound <= now else { return false }
        self.earliestDeadlineBound = self.earliestUnanswered
        return self.earliestDeadlineBound.map { $0 <= now } ?? false
    }

    private var earliestUnanswered: Instant? {
        self.unconfirmed.lazy.filter { $0.completion != nil }.map(\.deadline).min()
    }

    // MARK: Parts

    /// Appends the bytes that have been released since the last call.
    mutating func takeReleased(into released: inout [Release]) {
        guard !self.released.isEmpty else { return }
        released += self.released
        self.released.removeAll(keepingCapacity: true)
    }

    private mutating func release(_ item: Item) { self.release(item.flow, item.message.body.count) }

    private mutating func release(_ flow: Int, _ bytes: Int) {
        // The process's own messages have no quota to release.
        if flow != DeficitRoundRobinQueue<Item>.own { self.released.append(Release(flow: flow, bytes: bytes)) }
    }

    /// Records that a message is no longer in flight.
    private mutating func complete(_ slot: Unconfirmed) {
        let bytes = slot.message.body.count
        self.unconfirmedBytes -= bytes
        self.waiting.complete(slot.flow, bytes: bytes)
        self.release(slot.flow, bytes)
    }

    private mutating func reject(_ items: [Item], _ error: DriverError) -> [Outcome] {
        items.map { item in
            self.release(item)
            return Outcome(item.completion, error)
        }
    }

    private mutating func acknowledge(_ slot: Unconfirmed, positively: Bool, into outcomes: inout [Outcome]) {
        guard let completion = slot.completion else { return }
        self.unanswered -= 1
        if !positively {
            outcomes.append(Outcome(completion, .nacked))
        } else if let reason = slot.returned {
            let error = DriverError(
                .returned, "the broker had no queue for the message (\(reason)); declaring the queue again")
            outcomes.append(Outcome(completion, error))
        } else {
            self.confirmedCount += 1
            outcomes.append(Outcome(completion: completion, result: .success(())))
        }
    }

    private mutating func failWaiting(_ error: DriverError) -> [Outcome] {
        self.reject(self.waiting.removeAll(), error)
    }

    private mutating func failAll(_ error: DriverError, now: Instant) -> [Outcome] {
        var outcomes: [Outcome] = []
        for slot in self.unconfirmed {
            guard let completion = slot.completion else { continue }
            outcomes.append(Outcome(completion, slot.deadline <= now ? .timedOut : error))
        }
        outcomes += self.failWaiting(error.asUnsent)
        self.resetChannel()
        return outcomes
    }

    private mutating func resetChannel() {
        for slot in self.unconfirmed where !slot.isAcknowledged { self.complete(slot) }
        self.unconfirmed.removeAll(keepingCapacity: true)
        self.unanswered = 0
        self.earliestDeadlineBound = nil
        self.unconfirmedBytes = 0
        self.firstTag = 1
        self.queues.removeAll(keepingCapacity: true)
    }
}

extension PublisherStateMachine.Outcome {
    init(_ completion: Completion, _ error: DriverError) {
        self.init(completion: completion, result: .failure(error))
    }
}

extension PublisherStateMachine: Sendable where Completion: Sendable {}
extension PublisherStateMachine.Item: Sendable where Completion: Sendable {}
extension PublisherStateMachine.Outcome: Sendable where Completion: Sendable {}
extension PublisherStateMachine.Unconfirmed: Sendable where Completion: Sendable {}
