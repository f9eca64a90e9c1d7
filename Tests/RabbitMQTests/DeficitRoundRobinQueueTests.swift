// SPDX-License-Identifier: Apache-2.0

import DriverErrors
import Glibc
import RandomTesting
import Testing

@testable import RabbitMQ

/// The queue serves the messages of several senders in turn, so that one guest cannot delay the others.
@Suite("DeficitRoundRobinQueue") struct DeficitRoundRobinQueueTests {
    private let start = ContinuousClock.now

    private struct Element: Equatable {
        var flow: Int
        var number: Int
        var bytes: Int
    }

    private func append(
        _ element: Element, to queue: inout DeficitRoundRobinQueue<Element>, within: Duration = .seconds(30)
    ) {
        queue.append(element, bytes: element.bytes, sendBy: self.start + within, flow: element.flow)
    }

    @Test("The process's own flow is served in order, with no limit on its bytes in flight")
    func ownFlowAlone() {
        var queue = DeficitRoundRobinQueue<Element>(bytesInFlight: 10)
        let elements = (0..<100).map { Element(flow: 0, number: $0, bytes: 100_000) }
        for element in elements { self.append(element, to: &queue) }
        #expect(queue.bytes == 10_000_000)
        for element in elements {
            #expect(queue.first() == element)
            queue.popFirst(isSent: true)
        }
        #expect(queue.first() == nil)
        #expect(queue.isEmpty && queue.bytes == 0 && queue.nextExpiry == nil)
    }

    @Test("A small message does not wait behind another sender's backlog")
    func smallMessageNotDelayed() {
        var queue = DeficitRoundRobinQueue<Element>(bytesInFlight: .max)
        for number in 0..<1000 { self.append(.init(flow: 1, number: number, bytes: 240_000), to: &queue) }
        _ = queue.first()
        queue.popFirst(isSent: true)
        for number in 0..<10 { self.append(.init(flow: 2, number: number, bytes: 1300), to: &queue) }
        var sentBefore = 0
        var served = 0
        while served < 10, let element = queue.first() {
            queue.popFirst(isSent: true)
            if element.flow == 2 { served += 1 } else { sentBefore += 1 }
        }
        #expect(served == 10)
        #expect(sentBefore <= 1)
    }

    @Test("A sender at its limit of bytes in flight waits, and other senders do not")
    func bytesInFlight() {
        var queue = DeficitRoundRobinQueue<Element>(bytesInFlight: 1000)
        for number in 0..<5 { self.append(.init(flow: 1, number: number, bytes: 600), to: &queue) }
        self.append(.init(flow: 2, number: 0, bytes: 5000), to: &queue)
        self.append(.init(flow: 2, number: 1, bytes: 5000), to: &queue)
        var sent: [Element] = []
        while let element = queue.first() {
            queue.popFirst(isSent: true)
            sent.append(element)
        }
        // One message may always be sent, however large it is.
        #expect(Set(sent.map(\.flow)) == [1, 2] && sent.count == 2)
        queue.complete(1, bytes: 600)
        #expect(queue.first() == .init(flow: 1, number: 1, bytes: 600))
    }

    @Test("Flows that always have a backlog get the same number of bytes, within a bound")
    func equalShares() {
        for seed in UInt64(1)...30 {
            var random = Seeded(seed)
            let flows = Int.random(in: 2...12, using: &random)
            // Each flow has messages of its own usual length.
            let sizes = (0...flows).map { _ in Int.random(in: 100...60_000, using: &random) }
            var queue = DeficitRoundRobinQueue<Element>(bytesInFlight: .max)
            var numbers = Array(repeating: 0, count: flows + 1)
            func add(_ flow: Int, _ queue: inout DeficitRoundRobinQueue<Element>, _ random: inout Seeded) {
                let bytes = Int.random(in: 1...sizes[flow], using: &random)
                self.append(.init(flow: flow, number: numbers[flow], bytes: bytes), to: &queue)
                numbers[flow] += 1
            }
            for flow in 1...flows { for _ in 0..<3 { add(flow, &queue, &random) } }
            var served = Array(repeating: 0, count: flows + 1)
            let bound = 2 * (DeficitRoundRobinQueue<Element>.quantum + (sizes.max() ?? 0))
            for _ in 0..<5000 {
                guard let element = queue.first() else { break }
                queue.popFirst(isSent: true)
                served[element.flow] += element.bytes
                add(element.flow, &queue, &random)
                let (least, most) = (served.dropFirst().min() ?? 0, served.dropFirst().max() ?? 0)
                #expect(most - least <= bound, "seed \(seed)")
            }
        }
    }

    @Test("The time that expiry takes does not grow with the square of the number of flows")
    func expiryOfManyFlows() {
        /// Returns the CPU time of this thread alone, so that other work on the machine does not count.
        func seconds() -> Double {
            var time = timespec()
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
            return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
        }
        func time(flows: Int) -> Double {
            let times = (0..<3).map { _ in
                var queue = DeficitRoundRobinQueue<Element>(bytesInFlight: .max)
                for flow in 1...flows { self.append(.init(flow: flow, number: 0, bytes: 1), to: &queue) }
                let start = seconds()
                #expect(queue.expire(now: self.start + .seconds(31)).count == flows)
                let time = seconds() - start
                #expect(queue.isEmpty && queue.first() == nil)
                return time
            }
            return times.min() ?? 0
        }
        // For eight times as many flows, quadratic time would be 64 times as long.
        #expect(time(flows: 16_000) < 24 * time(flows: 2000))
    }

    @Test("No element is lost, repeated or reordered under random operations", arguments: UInt64(1)...100)
    func model(seed: UInt64) {
        var random = Seeded(seed)
        let limit = Int.random(in: 1...5000, using: &random)
        var queue = DeficitRoundRobinQueue<Element>(bytesInFlight: limit)
        var waiting: [Int: [Element]] = [:]
        var inFlight: [Int: [Int]] = [:]
        var now = self.start
        var deadlines: [Int: ContinuousClock.Instant] = [:]
        var number = 0
        func remove(_ element: Element) {
            #expect(waiting[element.flow]?.first == element)
            waiting[element.flow]?.removeFirst()
        }
        for _ in 0..<2000 {
            switch Int.random(in: 0..<100, using: &random) {
            case 0..<40:
                number += 1
                let element = Element(
                    flow: Int.random(in: 0...6, using: &random), number: number,
                    bytes: Int.random(in: 0...3000, using: &random))
                deadlines[number] = now + .seconds(10)
                queue.append(element, bytes: element.bytes, sendBy: now + .seconds(10), flow: element.flow)
                waiting[element.flow, default: []].append(element)
            case 40..<75:
                guard let element = queue.first() else {
                    // Only a flow at its limit of bytes in flight may wait.
                    for (flow, elements) in waiting {
                        guard let first = elements.first else { continue }
                        let bytes = inFlight[flow, default: []].reduce(0, +)
                        #expect(flow != 0 && bytes > 0 && bytes + first.bytes > limit)
                    }
                    continue
                }
                #expect(queue.first() == element)
                let isSent = Int.random(in: 0..<5, using: &random) > 0
                queue.popFirst(isSent: isSent)
                remove(element)
                if isSent { inFlight[element.flow, default: []].append(element.bytes) }
                if element.flow != 0, let bytes = inFlight[element.flow], bytes.count > 1 {
                    #expect(bytes.reduce(0, +) <= limit || bytes.filter { $0 > 0 }.count <= 1 || !isSent)
                }
            case 75..<92:
                guard let flow = inFlight.keys.sorted().randomElement(using: &random),
                    let bytes = inFlight[flow]?.popLast()
                else { continue }
                queue.complete(flow, bytes: bytes)
            case 92..<99:
                now += .milliseconds(Int.random(in: 0...2000, using: &random))
                for element in queue.expire(now: now) {
                    #expect(deadlines[element.number].map { $0 <= now } == true)
                    remove(element)
                }
                for elements in waiting.values {
                    #expect(elements.first.flatMap { deadlines[$0.number] }.map { $0 > now } ?? true)
                }
            default:
                for element in queue.removeAll() { remove(element) }
            }
            #expect(queue.count == waiting.values.reduce(0) { $0 + $1.count })
            #expect(queue.bytes == waiting.values.reduce(0) { $0 + $1.reduce(0) { $0 + $1.bytes } })
            let earliest = waiting.values.compactMap { $0.first.flatMap { deadlines[$0.number] } }.min()
            if let earliest { #expect(queue.nextExpiry.map { $0 <= earliest } == true) }
        }
    }
}

/// The quotas of senders: one guest cannot use the space of the others.
@Suite("SenderQuotaStateMachine") struct SenderQuotaStateMachineTests {
    private func sender(_ key: UInt64) -> OutgoingMessage.Sender { .init(key: key, name: "\(key)") }

    @Test("A sender may use an eighth of the messages and of the bytes, and always one message")
    func anEighth() {
        var shares = SenderQuotaStateMachine(capacity: 80, byteCapacity: 8000)
        for _ in 0..<10 { #expect(shares.reserve(self.sender(1), bytes: 1, countLeft: 80, bytesLeft: 8000) == 1) }
        #expect(shares.reserve(self.sender(1), bytes: 1, countLeft: 80, bytesLeft: 8000) == nil)
        #expect(shares.reserve(self.sender(2), bytes: 5000, countLeft: 80, bytesLeft: 8000) == 2)
        #expect(shares.reserve(self.sender(2), bytes: 1, countLeft: 80, bytesLeft: 8000) == nil)
        #expect(shares.reserve(self.sender(3), bytes: 999, countLeft: 80, bytesLeft: 8000) == 3)
        #expect(shares.reserve(self.sender(3), bytes: 2, countLeft: 80, bytesLeft: 8000) == nil)
        shares.release(2, bytes: 5000)
        #expect(shares.count == 2)
        // The flow's number is free for another sender.
        #expect(shares.reserve(self.sender(4), bytes: 1, countLeft: 80, bytesLeft: 8000) == 2)
        // Without a sender there is no quota.
        for _ in 0..<1000 { #expect(shares.reserve(nil, bytes: 1000, countLeft: 80, bytesLeft: 8000) == 0) }
    }

    @Test("Space remains for another sender's message, however many senders reach their quotas")
    func spaceForAnother() {
        var inbox = PublisherInbox(capacity: 10_000, byteCapacity: 1 << 20)
        inbox.rejection = nil
        var rejections: [DriverError.BrokerCause?] = []
        for _ in 0..<2000 {
            for key in UInt64(1)...40 {
                let message = OutgoingMessage(
                    queue: "q", body: Array(repeating: 0, count: 2000), sender: self.sender(key))
                if let rejection = inbox.enqueue(message, timeout: .seconds(1), completion: { _ in }) {
                    rejections.append(rejection.cause)
                }
            }
        }
        #expect(!rejections.isEmpty && rejections.allSatisfy { $0 == .senderQuotaExceeded })
        let another = OutgoingMessage(queue: "q", body: Array(repeating: 0, count: 2000), sender: self.sender(99))
        #expect(inbox.enqueue(another, timeout: .seconds(1), completion: { _ in }) == nil)
    }

    @Test("A sender's quota is released once, when the broker confirms its messages")
    func quotaReleased() {
        var inbox = PublisherInbox(capacity: 80, byteCapacity: 80_000)
        inbox.rejection = nil
        let message = OutgoingMessage(queue: "q", body: Array(repeating: 0, count: 1000), sender: self.sender(1))
        func offer() -> DriverError.BrokerCause? {
            inbox.enqueue(message, timeout: .seconds(1), completion: { _ in })?.cause
        }
        var machine = PublisherStateMachine<PublishCompletion>(window: 100)
        machine.connected()
        machine.declared("q")
        for _ in 0..<10 { #expect(offer() == nil) }
        #expect(offer() == .senderQuotaExceeded)
        var taken: [PublisherInbox.Item] = []
        inbox.take(if: true, stillWaiting: 0, bytes: 0, into: &taken)
        #expect(machine.enqueue(taken).isEmpty)
        // Sent but not confirmed: still outstanding.
        for _ in 0..<10 { _ = machine.next(now: .now) }
        #expect(offer() == .senderQuotaExceeded)
        _ = machine.acknowledged(tag: 2, multiple: false, positively: true)
        _ = machine.acknowledged(tag: 4, multiple: true, positively: true)
        var released: [PublisherStateMachine<PublishCompletion>.Release] = []
        machine.takeReleased(into: &released)
        #expect(released.map(\.bytes) == [1000, 1000, 1000, 1000])
        inbox.release(released)
        for _ in 0..<4 { #expect(offer() == nil) }
        #expect(offer() == .senderQuotaExceeded)
    }
}

/// The behaviour that must not change when senders are served in turn.
@Suite("PublisherStateMachine with senders") struct PublisherSenderTests {
    private typealias Machine = PublisherStateMachine<Int>
    private let start = ContinuousClock.now

    private func item(_ id: Int, flow: Int = 0, bytes: Int = 8, sendWithin: Duration = .seconds(15)) -> Machine.Item {
        .init(
            message: OutgoingMessage(queue: "q", body: Array(repeating: UInt8(truncatingIfNeeded: id), count: bytes)),
            completion: id, deadline: self.start + .seconds(30), sendBy: self.start + sendWithin, flow: flow)
    }

    @Test("A message that waits too long for its turn times out, and the connection stays open")
    func waitedTooLong() {
        var machine = Machine(window: 100, senderWindow: 10)
        machine.connected()
        machine.declared("q")
        _ = machine.enqueue([self.item(1, flow: 1), self.item(2, flow: 1), self.item(3)])
        for _ in 0..<2 { guard case .publish = machine.next(now: self.start) else { return #expect(Bool(false)) } }
        // The second waits for the first one's confirm.
        guard case .none = machine.next(now: self.start) else { return #expect(Bool(false)) }
        #expect(machine.nextDeadline.map { $0 <= self.start + .seconds(15) } == true)
        let (action, outcomes) = machine.tick(now: self.start + .seconds(16))
        guard case .none = action else { return #expect(Bool(false)) }
        #expect(outcomes.map(\.completion) == [2])
        #expect(outcomes.first?.result.error?.cause == .timedOut)
        #expect(outcomes.first?.result.error?.mayHaveArrived == false)
        #expect(machine.unconfirmedCount == 2)
        guard case .dropConnection = machine.tick(now: self.start + .seconds(31)).action else {
            return #expect(Bool(false))
        }
    }

    @Test("A full window holds messages back only while the broker owes confirms")
    func fullWindow() {
        var machine = Machine(window: 1)
        #expect(machine.wantsMessages)
        machine.connected()
        machine.declared("q")
        _ = machine.enqueue([self.item(1)])
        _ = machine.next(now: self.start)
        #expect(!machine.wantsMessages)
        _ = machine.blocked("memory")
        #expect(machine.wantsMessages)
        #expect(machine.tick(now: self.start + .seconds(30)).outcomes.map(\.completion) == [1])
        machine.unblocked()
        // Answered, but its slot is still in use: new messages must not wait without limit.
        #expect(machine.wantsMessages)
        _ = machine.enqueue([self.item(2, sendWithin: .seconds(45))])
        guard case .dropConnection = machine.tick(now: self.start + .seconds(46)).action else {
            return #expect(Bool(false))
        }
    }
}
