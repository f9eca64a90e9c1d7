internal import DequeModule

/// Queues of several flows, served in turn: deficit round robin by bytes. It holds no I/O and no clock.
///
/// A flow is one sender's messages, in the order in which they came. Flow ``own`` is the process's own and may have any number
/// of bytes in flight. Any other flow has at most a part of them in flight, except that one element always may be: what waits
/// before the broker is then the same for every flow, however much one of them has queued.
///
/// A flow that is served alone has no turns: then this is a first-in, first-out queue.
struct FairQueue<Element> {
    typealias Instant = ContinuousClock.Instant

    /// The flow of messages without a sender.
    static var own: Int { 0 }
    /// Bytes that a flow may send in each turn. A flow with larger elements saves up for them.
    static var quantum: Int { 16 << 10 }
    /// Elements of one flow beyond which its storage is released once it is empty.
    private static var keptCapacity: Int { 64 }

    fileprivate struct Entry {
        var element: Element
        var bytes: Int
        /// When it is too late to send it.
        var sendBy: Instant
    }

    fileprivate enum State {
        /// Nothing waits.
        case idle
        /// In the round.
        case active
        /// Waits until some of its bytes in flight are completed.
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
    /// How many elements wait.
    private(set) var count = 0
    /// Their bytes.
    private(set) var bytes = 0

    /// - Parameter bytesInFlight: the most bytes that a flow, other than ``own``, may have in flight.
    init(bytesInFlight: Int) { self.bytesInFlight = bytesInFlight }

    /// Whether nothing waits.
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

    /// The element whose turn it is; nil when none may be sent. The same until ``popFirst()``.
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

    /// Bytes of a flow are no longer in flight.
    mutating func complete(_ flow: Int, bytes: Int) {
        self.flows[flow].bytesInFlight -= bytes
        if self.flows[flow].state == .blocked { self.activate(flow) }
    }

    /// Removes the elements that it is too late to send.
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
            // What comes next may be short enough to be sent beside what is in flight.
            if self.flows[flow].state == .blocked, !self.flows[flow].entries.isEmpty { self.activate(flow) }
            if self.flows[flow].state != .idle, self.flows[flow].entries.isEmpty {
                self.idle(flow)
                hasEmptied = true
            }
        }
        if hasEmptied {
            // Once for all of them: there may be as many as guests.
            let flows = self.flows
            self.round.removeAll { flows[$0].state != .active }
            if self.round.first != turn { self.hasBegunTurn = false }
        }
        return expired
    }

    /// Removes everything that waits. What is in flight stays so.
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

extension FairQueue: Sendable where Element: Sendable {}
extension FairQueue.Entry: Sendable where Element: Sendable {}
extension FairQueue.Flow: Sendable where Element: Sendable {}
