// SPDX-License-Identifier: Apache-2.0

import DriverErrors
import RandomTesting
import Testing

@testable import RabbitMQ

/// Simulates a broker that does everything that a broker may do, in random order, and counts the answers.
@Suite("PublisherStateMachine under random events")
struct PublisherStateMachineRandomTests {
    private struct Simulation {
        var generator: Seeded
        var machine: PublisherStateMachine<Int>
        var now = ContinuousClock.now
        var nextID = 0
        var answers: [Int: Int] = [:]
        /// The messages sent on the current channel, indexed by tag - 1.
        var sent: [(id: Int, message: OutgoingMessage)] = []
        var settledTags: Set<Int> = []
        var everSent: Set<Int> = []
        var confirmedByBroker: Set<Int> = []
        var shares = SenderQuotaStateMachine(capacity: .max, byteCapacity: .max)
        let window: Int

        init(seed: UInt64) {
            self.generator = Seeded(seed)
            self.window = Int.random(in: 1...20, using: &self.generator)
            self.machine = PublisherStateMachine(
                window: self.window, senderWindow: Int.random(in: 1...40, using: &self.generator))
        }

        mutating func count(_ outcomes: [PublisherStateMachine<Int>.Outcome]) {
            for outcome in outcomes {
                self.answers[outcome.completion, default: 0] += 1
                guard let error = outcome.result.error else {
                    #expect(self.confirmedByBroker.contains(outcome.completion), "confirmed, but not by the broker")
                    continue
                }
                // The broker has no message that it rejected as too large or returned.
                let mayHaveArrived =
                    self.everSent.contains(outcome.completion) && error.cause != .tooLarge && error.cause != .returned
                #expect(error.mayHaveArrived == mayHaveArrived, "\(error)")
            }
        }

        mutating func newChannel() {
            self.sent = []
            self.settledTags = []
        }

        mutating func step() {
            switch Int.random(in: 0..<100, using: &self.generator) {
            case 0..<35:
                let items = (0..<Int.random(in: 1...5, using: &self.generator)).map { _ in
                    self.nextID += 1
                    let key = UInt64.random(in: 0...4, using: &self.generator)
                    let message = OutgoingMessage(
                        queue: "q\(self.nextID % 3)", body: Array("\(self.nextID)".utf8),
                        sender: key == 0 ? nil : .init(key: key, name: ""))
                    let flow = self.shares.reserve(
                        message.sender, bytes: message.body.count, countLeft: .max, bytesLeft: .max)
                    let within = Int.random(in: 1...2000, using: &self.generator)
                    return PublisherStateMachine<Int>.Item(
                        message: message, completion: self.nextID, deadline: self.now + .milliseconds(within),
                        sendBy: self.now + .milliseconds(within / 2), flow: flow ?? 0)
                }
                self.count(self.machine.enqueue(items))
            case 35..<65:
                switch self.machine.next(now: self.now) {
                case .publish(let message):
                    let id = Int(String(decoding: message.body, as: UTF8.self)) ?? 0
                    self.sent.append((id, message))
                    self.everSent.insert(id)
                case .declare(let queue):
                    if Bool.random(using: &self.generator) {
                        self.machine.declared(queue)
                    } else {
                        self.machine.declarationRejected(
                            queue, error: DriverError(.declarationRejected, ""), until: self.now + .milliseconds(50))
                    }
                case .complete(let outcome): self.count([outcome])
                case .none: break
                }
            case 65..<85:
                self.confirm()
            case 85..<88:
                let open = self.sent.indices.filter { !self.settledTags.contains($0 + 1) }
                if let index = open.randomElement(using: &self.generator) {
                    _ = self.machine.returned(
                        queue: self.sent[index].message.queue, body: self.sent[index].message.body, reason: "312")
                }
            case 88: self.count(self.machine.blocked("alarm"))
            case 89..<92: self.machine.unblocked()
            case 92:
                self.count(
                    self.machine.channelClosed(
                        DriverError(.channelClosed, ""),
                        sizeLimit: Bool.random(using: &self.generator) ? 3 : nil, now: self.now))
                self.newChannel()
            case 93: self.lose()
            case 94..<96: self.machine.connected()
            default:
                self.now += .milliseconds(Int.random(in: 0...200, using: &self.generator))
                let (action, outcomes) = self.machine.tick(now: self.now)
                self.count(outcomes)
                if case .dropConnection = action { self.lose() }
            }
            #expect(self.machine.unconfirmedCount <= self.window)
            self.release()
        }

        mutating func release() {
            var released: [PublisherStateMachine<Int>.Release] = []
            self.machine.takeReleased(into: &released)
            for release in released { self.shares.release(release.flow, bytes: release.bytes) }
        }

        private mutating func lose() {
            self.count(self.machine.connectionLost(DriverError(.connectionLost, ""), now: self.now))
            self.newChannel()
        }

        private mutating func confirm() {
            guard !self.sent.isEmpty else { return }
            let tag = Int.random(in: 1...self.sent.count, using: &self.generator)
            let multiple = Bool.random(using: &self.generator)
            let tags = (multiple ? Array(1...tag) : [tag]).filter { !self.settledTags.contains($0) }
            for tag in tags {
                self.settledTags.insert(tag)
                self.confirmedByBroker.insert(self.sent[tag - 1].id)
            }
            let outcomes = self.machine.acknowledged(
                tag: UInt64(tag), multiple: multiple, positively: Int.random(in: 0..<5, using: &self.generator) > 0)
            guard let outcomes else {
                Issue.record("a good confirm was taken for a bad one")
                return
            }
            #expect(outcomes.count <= tags.count)
            self.count(outcomes)
        }
    }

    @Test("Every message is answered exactly once", arguments: UInt64(1)...200)
    func exactlyOnce(seed: UInt64) {
        var simulation = Simulation(seed: seed)
        simulation.machine.connected()
        for _ in 0..<1000 { simulation.step() }
        if Bool.random(using: &simulation.generator) {
            simulation.machine.shutdown(until: simulation.now + .seconds(1))
            for _ in 0..<50 { simulation.step() }
        }
        simulation.count(simulation.machine.publisherStopped(now: simulation.now))
        simulation.release()
        // No sender has an outstanding message, so every quota was released once.
        #expect(simulation.shares.count == 0)
        #expect(simulation.answers.count == simulation.nextID)
        #expect(simulation.answers.values.allSatisfy { $0 == 1 })
        #expect(simulation.machine.waitingCount == 0)
        #expect(simulation.machine.waitingBytes == 0)
        #expect(simulation.machine.unconfirmedCount == 0)
    }
}
