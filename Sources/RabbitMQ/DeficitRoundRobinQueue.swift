// SPDX-License-Identifier: Apache-2.0

internal import DequeModule

/// The queues of several flows, served by deficit round robin, counted in bytes. It has no I/O and no clock.
///
/// A flow consists of one sender's messages, in the order of their arrival. Flow ``own`` belongs to this process and
/// may have any number of bytes in flight. Every other flow has a limit of bytes in flight, but may always have one
/// element in flight. So each flow finds the same backlog at the broker, however much one of them has queued here.
///
/// While only one flow is active there are no turns, and this is a plain FIFO queue.
struct DeficitRoundRobinQueue<Element> {
    typealias Instant = ContinuousClock.Instant

    /// The flow of messages without a sender.
    static var own: Int { 0 }
    /// The number of bytes that a flow may send in each turn. A flow with larger elements saves credit for them.
    static var quantum: Int { 16 << 10 }
    /// The number of queued elements above which a flow's storage is released once the flow is empty.
    private static var keptCapacity: Int { 64 }

    fileprivate struct Entry {
        var element: Element
        var bytes: Int
        /// The time from which it is too late to send the element.
        var sendBy: Instant
    }

    fileprivate enum State {
        /// No element waits.
        case idle
        /// The flow takes part in the round robin.
        case active
        /// The flow waits until some of its bytes in flight are completed.
        case blocked
    }

    fileprivate struct Flow {
        var entries = Deque<Entry>()
        var longest = 0
        var bytesInFlight = 0
        var credit = 0
        var state = State.idle
    }

    private let bytesInFlight: Int
    private var flows: [Flow] = [Flow()]
    /// The active flows in the order of their turns.
    private var round = Deque<Int>()
    /// Whether the first flow of the round has been given its quantum.
    private var hasBegunTurn = false
    private var bound: Instant?
    /// The number of waiting elements.
    private(set) var count = 0
    /// The total size in bytes of the waiting elements.
    private(set) var bytes = 0

    /// - Parameter bytesInFlight: the maximum number of bytes that a flow other than ``own`` may have in flight.
    init(bytesInFlight: Int) { self.bytesInFlight = bytesInFlight }

    /// Whether no element waits.
    var isEmpty: Bool { self.count == 0 }

    /// A time before which ``expire(now:)`` has nothing to do; nil when nothing waits.
    var nextExpiry: Instant? { self.count == 0 ? nil : self.bound }

    /// Adds an element to the end of its flow.
    mutating func append(_ element: Element, bytes: Int, sendBy: Instant, flow: Int) {
        while flow >= self.flows.count { self.flows.append(Flow()) }
        if self.count == 0 { self.bound = sendBy } else if let bound { self.bound = min(bound, sendBy) }
        self.count += 1
        self.bytes += bytes
        self.flows[flow].entries.append(Entry(element: element, bytes: bytes, sendBy: sendBy))
        self.flows[flow].longest = max(self.flows[flow].longest, self.flows[flow].entries.count)
        if self.flows[flow].state == .idle { self.activate(flow) }
    }

    /// Returns the element whose turn it is; nil when none may be sent. Repeated calls return the same element until
    /// another method changes the queue.
    mutating func first() -> Element? {
        while let flow = self.round.first, let entry = self.flows[flow].entries.first {
            let inFlight = self.flows[flow].bytesInFlight
            if flow != Self.own, inFlight > 0, inFlight + entry.bytes > self.bytesInFlight {
                self.endTurn()
                self.flows[flow].state = .blocked
                continue
            }
            guard self.round.count > 1 else { return entry.element }
            if !self.hasBegunTurn {
                self.flows[flow].credit += Self.quantum
                self.hasBegunTurn = true
            }
            if self.flows[flow].credit >= entry.bytes { return entry.element }
            self.endTurn()
            self.round.append(flow)
        }
        return nil
    }

    /// Removes the element that ``first()`` has just returned.
    ///
    /// - Parameter isSent: whether its bytes are in flight until ``complete(_:bytes:)``.
    mutating func popFirst(isSent: Bool) {
        guard let flow = self.round.first, let entry = self.flows[flow].entries.popFirst() else { return }
        self.count -= 1
        self.bytes -= entry.bytes
        if isSent { self.flows[flow].bytesInFlight += entry.bytes }
        if self.round.count > 1 { self.flows[flow].credit -= entry.bytes }
        if self.flows[flow].entries.isEmpty {
            self.endTurn()
            self.idle(flow)
        }
    }

    /// Records that bytes of a flow are no longer in flight.
    mutating func complete(_ flow: Int, bytes: Int) {
        self.flows[flow].bytesInFlight -= bytes
        if self.flows[flow].state == .blocked { self.activate(flow) }
    }

    /// Removes the elements that it is too late to send, and returns them.
    mutating func expire(now: Instant) -> [Element] {
        guard let next = self.nextExpiry, next <= now else { return [] }
        var expired: [Element] = []
        self.bound = nil
        let turn = self.round.first
        var hasEmptied = false
        for flow in self.flows.indices {
            while let entry = self.flows[flow].entries.first {
                guard entry.sendBy <= now else {
                    self.bound = min(self.bound ?? entry.sendBy, entry.sendBy)
                    break
                }
                self.flows[flow].entries.removeFirst()
                self.count -= 1
                self.bytes -= entry.bytes
                expired.append(entry.element)
            }
            // The next element may be short enough to be sent in addition to the bytes in flight.
            if self.flows[flow].state == .blocked, !self.flows[flow].entries.isEmpty { self.activate(flow) }
            if self.flows[flow].state != .idle, self.flows[flow].entries.isEmpty {
                self.idle(flow)
                hasEmptied = true
            }
        }
        if hasEmptied {
            // One pass for all flows: there may be as many flows as guests.
            let flows = self.flows
            self.round.removeAll { flows[$0].state != .active }
            if self.round.first != turn { self.hasBegunTurn = false }
        }
        return expired
    }

    /// Removes all waiting elements and returns them. Bytes in flight stay counted.
    mutating func removeAll() -> [Element] {
        var removed: [Element] = []
        removed.reserveCapacity(self.count)
        for flow in self.flows.indices where self.flows[flow].state != .idle {
            for entry in self.flows[flow].entries { removed.append(entry.element) }
            self.flows[flow].entries.removeAll()
            self.idle(flow)
        }
        self.round.removeAll()
        self.hasBegunTurn = false
        self.bound = nil
        self.count = 0
        self.bytes = 0
        return removed
    }

    private mutating func activate(_ flow: Int) {
        self.flows[flow].state = .active
        self.round.append(flow)
    }

    private mutating func endTurn() {
        self.round.removeFirst()
        self.hasBegunTurn = false
    }

    private mutating func idle(_ flow: Int) {
        self.flows[flow].state = .idle
        self.flows[flow].credit = 0
        if self.flows[flow].longest > Self.keptCapacity { self.flows[flow].entries = Deque() }
        self.flows[flow].longest = 0
    }
}

extension DeficitRoundRobinQueue: Sendable where Element: Sendable {}
extension DeficitRoundRobinQueue.Entry: Sendable where Element: Sendable {}
extension DeficitRoundRobinQueue.Flow: Sendable where Element: Sendable {}
