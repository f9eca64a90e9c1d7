// SPDX-License-Identifier: Apache-2.0

import DriverErrors
import Testing

@testable import RabbitMQ

@Suite("PublisherStateMachine")
struct PublisherStateMachineTests {
    private typealias Machine = PublisherStateMachine<Int>
    private let start = ContinuousClock.now

    private func item(_ id: Int, queue: String = "q", size: Int = 4, within: Duration = .seconds(30)) -> Machine.Item {
        var body = Array("\(id)".utf8)
        while body.count < size { body.append(32) }
        return .init(message: OutgoingMessage(queue: queue, body: body), completion: id, deadline: self.start + within)
    }

    /// Returns an open machine with this many messages sent, as tags 1, 2, …
    private func sending(_ count: Int, window: Int = 100) -> Machine {
        var machine = Machine(window: window)
        machine.connected()
        machine.declared("q")
        #expect(machine.enqueue((1...max(count, 1)).prefix(count).map { self.item($0) }).isEmpty)
        for _ in 0..<min(count, window) {
            guard case .publish = machine.next(now: self.start) else {
                Issue.record("not published")
                return machine
            }
        }
        return machine
    }

    private func codes(_ outcomes: [Machine.Outcome]) -> [Int: DriverError.BrokerCause?] {
        Dictionary(outcomes.map { ($0.completion, $0.result.error?.cause) }) { _, _ in
            Issue.record("answered twice")
            return nil
        }
    }

    private func confirm(
        _ machine: inout Machine, tag: UInt64, multiple: Bool, positively: Bool
    ) throws -> [Machine.Outcome] {
        let outcomes = machine.acknowledged(tag: tag, multiple: multiple, positively: positively)
        return try #require(outcomes)
    }

    @Test("Single confirms answer their own messages, in any order")
    func singleAcks() throws {
        var machine = self.sending(3)
        #expect(self.codes(try self.confirm(&machine, tag: 2, multiple: false, positively: true)) == [2: nil])
        #expect(machine.unconfirmedCount == 2)
        #expect(self.codes(try self.confirm(&machine, tag: 1, multiple: false, positively: true)) == [1: nil])
        #expect(self.codes(try self.confirm(&machine, tag: 3, multiple: false, positively: true)) == [3: nil])
        #expect(machine.unconfirmedCount == 0)
        #expect(machine.nextDeadline == nil)
        #expect(machine.confirmedCount == 3)
    }

    @Test("A multiple confirm answers every unanswered message up to its tag; tag 0 means all")
    func multipleAcks() throws {
        var machine = self.sending(5)
        _ = machine.acknowledged(tag: 2, multiple: false, positively: true)
        let three = try self.confirm(&machine, tag: 3, multiple: true, positively: true)
        #expect(three.map(\.completion) == [1, 3])
        let rest = try self.confirm(&machine, tag: 0, multiple: true, positively: true)
        #expect(rest.map(\.completion) == [4, 5])
        // The tags continue to count.
        _ = machine.enqueue([self.item(6)])
        _ = machine.next(now: self.start)
        #expect(try self.confirm(&machine, tag: 6, multiple: false, positively: true).map(\.completion) == [6])
    }

    @Test("The window is bounded in bytes too, and a confirm out of order frees its bytes")
    func windowInBytes() throws {
        var machine = Machine(window: 100, byteWindow: 25)
        machine.connected()
        machine.declared("q")
        _ = machine.enqueue((1...6).map { self.item($0, size: 10) })
        func send() -> Int {
            var count = 0
            while case .publish = machine.next(now: self.start) { count += 1 }
            return count
        }
        #expect(send() == 3)
        _ = try self.confirm(&machine, tag: 2, multiple: false, positively: true)
        #expect(send() == 1)
        _ = try self.confirm(&machine, tag: 4, multiple: true, positively: true)
        #expect(send() == 2)
        _ = machine.connectionLost(.timedOut, now: self.start)
        machine.connected()
        machine.declared("q")
        _ = machine.enqueue([self.item(7, size: 100), self.item(8)])
        #expect(send() == 1)
    }

    @Test("A repeated confirm answers no message again")
    func repeatedAck() throws {
        var machine = self.sending(2)
        _ = machine.acknowledged(tag: 1, multiple: false, positively: true)
        #expect(try self.confirm(&machine, tag: 1, multiple: false, positively: true).isEmpty)
        #expect(try self.confirm(&machine, tag: 1, multiple: true, positively: true).isEmpty)
        #expect(machine.unconfirmedCount == 1)
    }

    @Test("A confirm of a tag that was never sent is a protocol error", arguments: [false, true])
    func unknownTag(multiple: Bool) {
        var machine = self.sending(2)
        #expect(machine.acknowledged(tag: 3, multiple: multiple, positively: true) == nil)
        #expect(machine.acknowledged(tag: .max, multiple: multiple, positively: true) == nil)
        if !multiple { #expect(machine.acknowledged(tag: 0, multiple: false, positively: true) == nil) }
        #expect(machine.unconfirmedCount == 2)
    }

    @Test("A nack is a retryable error")
    func nack() throws {
        var machine = self.sending(2)
        let outcomes = try self.confirm(&machine, tag: 2, multiple: true, positively: false)
        #expect(self.codes(outcomes) == [1: .nacked, 2: .nacked])
        #expect(outcomes.allSatisfy { $0.result.error?.isRetryable == true })
    }

    @Test("A returned message fails at its confirm, and its queue is declared again")
    func returnThenAck() throws {
        var machine = self.sending(3)
        #expect(machine.returned(queue: "q", body: Array("2   ".utf8), reason: "312 NO_ROUTE") == true)
        let outcomes = try self.confirm(&machine, tag: 3, multiple: true, positively: true)
        #expect(self.codes(outcomes) == [1: nil, 2: .returned, 3: nil])
        _ = machine.enqueue([self.item(4)])
        guard case .declare("q") = machine.next(now: self.start) else {
            Issue.record("not declared again")
            return
        }
        machine.declared("q")
        guard case .publish = machine.next(now: self.start) else {
            Issue.record("not published after the declaration")
            return
        }
    }

    @Test("A late return of a message sent before the last declaration causes no new declaration")
    func lateReturn() {
        var machine = self.sending(3)
        #expect(machine.returned(queue: "q", body: Array("1   ".utf8), reason: "") == true)
        machine.declared("q")
        #expect(machine.returned(queue: "q", body: Array("2   ".utf8), reason: "") == true)
        _ = machine.enqueue([self.item(4)])
        guard case .publish = machine.next(now: self.start) else {
            Issue.record("declared once more than needed")
            return
        }
    }

    @Test("Returns of two equal bodies are two messages, and an unknown return is ignored")
    func equalReturns() throws {
        var machine = Machine(window: 10)
        machine.connected()
        machine.declared("q")
        var twin = self.item(1)
        twin.completion = 2
        _ = machine.enqueue([self.item(1), twin])
        _ = machine.next(now: self.start)
        _ = machine.next(now: self.start)
        #expect(machine.returned(queue: "q", body: self.item(1).message.body, reason: "") == true)
        #expect(machine.returned(queue: "q", body: self.item(1).message.body, reason: "") == true)
        #expect(machine.returned(queue: "q", body: self.item(1).message.body, reason: "") == false)
        #expect(machine.returned(queue: "other", body: self.item(1).message.body, reason: "") == false)
        let outcomes = try self.confirm(&machine, tag: 2, multiple: true, positively: true)
        #expect(self.codes(outcomes) == [1: .returned, 2: .returned])
    }

    @Test("At most one window of messages is unconfirmed")
    func window() throws {
        var machine = self.sending(5, window: 3)
        #expect(machine.unconfirmedCount == 3)
        #expect(machine.waitingCount == 2)
        #expect(machine.waitingBytes == 8)
        guard case .none = machine.next(now: self.start) else {
            Issue.record("published beyond the window")
            return
        }
        // The confirm of tag 1 frees its slot.
        _ = machine.acknowledged(tag: 1, multiple: false, positively: true)
        guard case .publish = machine.next(now: self.start) else {
            Issue.record("did not use the room")
            return
        }
    }

    @Test("A message is rejected at once while there is no connection")
    func notConnected() {
        var machine = Machine(window: 1)
        #expect(self.codes(machine.enqueue([self.item(1)])) == [1: .notConnected])
        guard case .none = machine.next(now: self.start) else {
            Issue.record("something to do without a connection")
            return
        }
    }

    @Test("A lost connection fails every outstanding message, and the next one declares queues again")
    func lost() {
        var machine = self.sending(2, window: 2)
        _ = machine.enqueue([self.item(3), self.item(4, within: .seconds(90))])
        let error = DriverError(.connectionLost, "gone")
        #expect(
            self.codes(machine.connectionLost(error, now: self.start))
                == [1: .connectionLost, 2: .connectionLost, 3: .connectionLost, 4: .connectionLost])
        #expect(machine.waitingBytes == 0)
        #expect(!machine.isOpen)
        machine.connected()
        // Tags and declarations are valid for one connection.
        _ = machine.enqueue([self.item(5)])
        guard case .declare("q") = machine.next(now: self.start) else {
            Issue.record("a declaration outlived its connection")
            return
        }
    }

    @Test("A closed channel fails unconfirmed messages, keeps waiting ones, and restarts the tags")
    func channelClosed() throws {
        var machine = self.sending(3, window: 2)
        let error = DriverError(.channelClosed, "404")
        #expect(
            self.codes(machine.channelClosed(error, sizeLimit: nil, now: self.start))
                == [1: .channelClosed, 2: .channelClosed])
        #expect(machine.waitingCount == 1)
        machine.declared("q")
        _ = machine.next(now: self.start)
        #expect(try self.confirm(&machine, tag: 1, multiple: false, positively: true).map(\.completion) == [3])
    }

    @Test("A broker's size limit fails larger messages, and is kept until the connection is lost")
    func sizeLimit() {
        var machine = Machine(window: 10)
        machine.connected()
        machine.declared("q")
        _ = machine.enqueue([self.item(1, size: 10), self.item(2, size: 101), self.item(3, size: 100)])
        for _ in 0..<3 { _ = machine.next(now: self.start) }
        let outcomes = machine.channelClosed(DriverError(.channelClosed, "406"), sizeLimit: 100, now: self.start)
        #expect(self.codes(outcomes) == [1: .channelClosed, 2: .tooLarge, 3: .channelClosed])
        #expect(outcomes.first { $0.completion == 2 }?.result.error?.limitBytes == 100)
        _ = machine.enqueue([self.item(4, size: 101)])
        guard case .complete(let outcome) = machine.next(now: self.start) else {
            Issue.record("sent although too large")
            return
        }
        #expect(outcome.result.error?.cause == .tooLarge)
        _ = machine.connectionLost(DriverError(.connectionLost, ""), now: self.start)
        machine.connected()
        #expect(machine.sizeLimit == nil)
    }

    @Test("An alarm rejects waiting and new messages; sent ones can still be confirmed or expire")
    func blocked() throws {
        var machine = self.sending(3, window: 2)
        #expect(self.codes(machine.blocked("low on memory")) == [3: .blocked])
        #expect(self.codes(machine.enqueue([self.item(4)])) == [4: .blocked])
        #expect(try self.confirm(&machine, tag: 1, multiple: false, positively: true).count == 1)
        let (action, expired) = machine.tick(now: self.start + .seconds(31))
        guard case .none = action else {
            Issue.record("left a broker that had said it would be silent")
            return
        }
        #expect(self.codes(expired) == [2: .timedOut])
        #expect(machine.nextDeadline == nil)
        machine.unblocked()
        // Its confirm comes late, and answers no message.
        #expect(try self.confirm(&machine, tag: 2, multiple: false, positively: true).isEmpty)
        #expect(machine.enqueue([self.item(5)]).isEmpty)
        guard case .publish = machine.next(now: self.start) else {
            Issue.record("still blocked")
            return
        }
    }

    /// Returns for each message whether it may have arrived at the broker.
    private func mayHaveArrived(_ outcomes: [Machine.Outcome]) -> [Int: Bool?] {
        Dictionary(outcomes.map { ($0.completion, $0.result.error?.mayHaveArrived) }) { $1 }
    }

    @Test("A sent message that expires during an alarm may have arrived; a waiting one was not sent")
    func blockedInFlight() {
        var machine = self.sending(3, window: 2)
        #expect(self.mayHaveArrived(machine.blocked("low on disk")) == [3: false])
        #expect(self.mayHaveArrived(machine.enqueue([self.item(4)])) == [4: false])
        let expired = machine.tick(now: self.start + .seconds(31)).outcomes
        #expect(self.mayHaveArrived(expired) == [1: true, 2: true])
        #expect(expired.allSatisfy { $0.result.error?.isRetryable == true })
        #expect(expired.first?.result.error?.description.contains("low on disk") == true)
    }

    @Test("Only sent messages may have arrived when the connection or the publisher ends")
    func endInFlight() {
        var machine = self.sending(3, window: 2)
        #expect(
            self.mayHaveArrived(machine.connectionLost(DriverError(.connectionLost, "gone"), now: self.start))
                == [1: true, 2: true, 3: false])
        var late = self.sending(3, window: 2)
        #expect(
            self.mayHaveArrived(
                late.connectionLost(DriverError(.connectionLost, "gone"), now: self.start + .seconds(31)))
                == [1: true, 2: true, 3: false])
        var other = self.sending(3, window: 2)
        other.shutdown(until: self.start + .seconds(1))
        #expect(self.mayHaveArrived(other.enqueue([self.item(4)])) == [4: false])
        #expect(self.mayHaveArrived(other.publisherStopped(now: self.start)) == [1: true, 2: true, 3: false])
    }

    @Test("A returned message has not arrived, and a nacked message may have arrived")
    func returnedAndNacked() throws {
        var machine = self.sending(2, window: 2)
        let isKnown = machine.returned(queue: "q", body: self.item(1).message.body, reason: "312")
        #expect(isKnown)
        let returned = try self.confirm(&machine, tag: 1, multiple: false, positively: true)
        #expect(self.codes(returned) == [1: .returned] && self.mayHaveArrived(returned) == [1: false])
        #expect(returned.first?.result.error?.isRetryable == true)
        let refused = try self.confirm(&machine, tag: 2, multiple: false, positively: false)
        #expect(self.mayHaveArrived(refused) == [2: true])
    }

    @Test("A window full of expired messages that are never confirmed drops the connection")
    func deadAfterAlarm() {
        var machine = self.sending(2, window: 2)
        _ = machine.blocked("disk")
        _ = machine.tick(now: self.start + .seconds(31))
        machine.unblocked()
        _ = machine.enqueue([self.item(3, within: .seconds(60))])
        guard case .dropConnection = machine.tick(now: self.start + .seconds(60)).action else {
            Issue.record("waits for ever")
            return
        }
        let error = DriverError(.connectionLost, "")
        #expect(self.codes(machine.connectionLost(error, now: self.start + .seconds(60))) == [3: .connectionLost])
    }

    @Test("A broker that does not confirm in time is disconnected, and the expired message times out")
    func deadline() {
        var machine = self.sending(1)
        _ = machine.enqueue([self.item(2, within: .seconds(40))])
        _ = machine.next(now: self.start)
        #expect(machine.nextDeadline == self.start + .seconds(30))
        guard case .none = machine.tick(now: self.start + .seconds(29)).action else {
            Issue.record("too early")
            return
        }
        guard case .dropConnection = machine.tick(now: self.start + .seconds(30)).action else {
            Issue.record("too late")
            return
        }
        let error = DriverError(.connectionLost, "silent")
        #expect(
            self.codes(machine.connectionLost(error, now: self.start + .seconds(30))) == [
                1: .timedOut, 2: .connectionLost,
            ])
    }

    @Test("A refused declaration fails only its own queue's messages until it is retried")
    func declarationRejected() {
        var machine = Machine(window: 10)
        machine.connected()
        machine.declared("other")
        _ = machine.enqueue([self.item(1), self.item(2), self.item(3, queue: "other"), self.item(4)])
        guard case .declare("q") = machine.next(now: self.start) else {
            Issue.record("not declared")
            return
        }
        machine.declarationRejected(
            "q", error: DriverError(.declarationRejected, "403"), until: self.start + .seconds(1))
        for id in [1, 2] {
            guard case .complete(let outcome) = machine.next(now: self.start) else {
                Issue.record("not answered")
                return
            }
            #expect(outcome.completion == id)
            #expect(outcome.result.error?.cause == .declarationRejected)
        }
        guard case .publish(let message) = machine.next(now: self.start) else {
            Issue.record("another queue was held up")
            return
        }
        #expect(message.queue == "other")
        guard case .declare("q") = machine.next(now: self.start + .seconds(1)) else {
            Issue.record("not tried again")
            return
        }
    }

    @Test("A drain sends waiting messages, rejects new ones, and closes when all are confirmed")
    func drain() {
        var machine = self.sending(2, window: 1)
        machine.shutdown(until: self.start + .seconds(10))
        #expect(self.codes(machine.enqueue([self.item(3)])) == [3: .shuttingDown])
        _ = machine.acknowledged(tag: 1, multiple: false, positively: true)
        guard case .none = machine.tick(now: self.start).action, case .publish = machine.next(now: self.start) else {
            Issue.record("what waited was not sent")
            return
        }
        _ = machine.acknowledged(tag: 2, multiple: false, positively: true)
        guard case .close = machine.tick(now: self.start).action else {
            Issue.record("does not close")
            return
        }
        #expect(machine.publisherStopped(now: self.start).isEmpty)
    }

    @Test("A drain ends at its time limit, or with the connection")
    func drainEnds() {
        var machine = self.sending(2)
        machine.shutdown(until: self.start + .seconds(10))
        #expect(machine.nextDeadline == self.start + .seconds(10))
        guard case .close = machine.tick(now: self.start + .seconds(10)).action else {
            Issue.record("does not close")
            return
        }
        #expect(self.codes(machine.publisherStopped(now: self.start)) == [1: .shuttingDown, 2: .shuttingDown])

        var other = self.sending(1)
        other.shutdown(until: self.start + .seconds(10))
        #expect(
            self.codes(other.connectionLost(DriverError(.connectionLost, ""), now: self.start)) == [1: .connectionLost])
        other.connected()
        #expect(!other.isOpen)
        #expect(self.codes(other.enqueue([self.item(2)])) == [2: .shuttingDown])
    }
}
