// SPDX-License-Identifier: Apache-2.0

import CConductorRabbitMQ
import DriverErrors
import Glibc
import Logging
import NIOConcurrencyHelpers
import RandomTesting
import Testing

@testable import RabbitMQ

@Suite("Parts of the publisher")
struct PublisherPartsTests {
    @Test(
        "The broker's size limit is read from the text of its reply",
        arguments: [
            (406, "PRECONDITION_FAILED - message size 300000 is larger than configured max size 262144", 262144),
            (406, "PRECONDITION_FAILED - message size 300000 larger than max size 134217728", 134_217_728),
            (406, "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'max size 5'", nil),
            (404, "NOT_FOUND - message size 3 max size 5", nil),
            (406, "PRECONDITION_FAILED - message size", nil),
            (406, "PRECONDITION_FAILED - message size 5 is larger than max size 99999999999999999999999", nil),
        ] as [(UInt16, String, Int?)])
    func sizeLimit(code: UInt16, text: String, limit: Int?) {
        #expect(BrokerReply(code: code, text: text).messageSizeLimit == limit)
    }

    @Test("A publisher with two connections is available only while both are usable")
    func status() throws {
        var configuration = try PublisherConfiguration(transportURL: TransportURL("rabbit://localhost/"), exchange: "e")
        configuration.largeMessageBytes = 1000
        let publisher = Publisher(configuration: configuration, logger: Logger(label: "test"))
        let largeMessageWorker = try #require(publisher.largeMessageWorker)
        func change(_ lane: PublisherWorker, _ body: (inout PublisherStatus) -> Void) {
            lane.inbox.withLockedValue { body(&$0.status) }
        }
        change(publisher.worker) { ($0.host, $0.connections, $0.inbox, $0.unconfirmed) = ("broker:5672", 1, 2, 3) }
        #expect(!publisher.status.isAvailable && publisher.status.host == nil)
        change(largeMessageWorker) { ($0.host, $0.connections, $0.inbox, $0.unconfirmed) = ("broker:5672", 2, 10, 20) }
        #expect(publisher.status.isAvailable && publisher.status.host == "broker:5672")
        #expect(publisher.status.connections == 3 && publisher.status.inbox == 12 && publisher.status.unconfirmed == 23)
        change(largeMessageWorker) { $0.blocked = true }
        #expect(publisher.status.blocked && !publisher.status.isAvailable)
    }

    @Test("An inbox is bounded in messages and in bytes, and always accepts one message")
    func inbox() throws {
        var inbox = PublisherInbox(capacity: 3, byteCapacity: 100)
        inbox.rejection = nil
        func offer(_ size: Int) -> DriverError.BrokerCause? {
            let message = OutgoingMessage(queue: "q", body: Array(repeating: 0, count: size))
            return inbox.enqueue(message, timeout: .seconds(1)) { _ in }?.cause
        }
        #expect(offer(500) == nil)
        #expect(offer(1) == .inboxFull)
        var taken: [PublisherInbox.Item] = []
        inbox.take(if: true, stillWaiting: 0, bytes: 0, into: &taken)
        #expect(taken.count == 1)
        // Taken but not sent: still counted.
        #expect(offer(1) == .inboxFull)
        taken = []
        inbox.take(if: true, stillWaiting: 0, bytes: 0, into: &taken)
        #expect(taken.isEmpty)
        for _ in 0..<3 { #expect(offer(1) == nil) }
        #expect(offer(1) == .inboxFull)
        inbox.take(if: false, stillWaiting: 2, bytes: 2, into: &taken)
        #expect(taken.isEmpty)
        #expect(inbox.status.inbox == 5)
        inbox.sizeLimit = 10
        #expect(offer(11) == .tooLarge)
        inbox.end()
        #expect(offer(1) == .shuttingDown)
    }

    @Test("A waiting thread is woken once for all messages that have arrived")
    func wakesOnce() throws {
        var inbox = PublisherInbox(capacity: 10, byteCapacity: 100)
        let wake = try WakeUpEvent()
        #expect(inbox.begin(wake) == true)
        #expect(inbox.begin(wake) == false)
        inbox.rejection = nil
        func offer() {
            let rejection = inbox.enqueue(
                OutgoingMessage(queue: "q", body: []), timeout: .seconds(1), completion: { _ in })
            #expect(rejection == nil)
        }
        #expect(inbox.takeWake() == nil)
        for _ in 0..<2 { offer() }
        #expect(inbox.takeWake() === wake)
        // The wake-up is already in progress.
        offer()
        #expect(inbox.takeWake() == nil)
        var taken: [PublisherInbox.Item] = []
        inbox.take(if: true, stillWaiting: 0, bytes: 0, into: &taken)
        #expect(taken.count == 3)
        taken = []
        offer()
        // The thread has found this message without a wake-up.
        inbox.take(if: true, stillWaiting: 0, bytes: 0, into: &taken)
        #expect(taken.count == 1)
        #expect(inbox.takeWake() == nil)
    }

    @Test("A dedicated thread runs its body before run() returns")
    func thread() async throws {
        let ran = NIOLockedValueBox(0)
        for _ in 0..<20 {
            try await DedicatedThread.run(name: "test") { ran.withLockedValue { $0 += 1 } }
        }
        #expect(ran.withLockedValue { $0 } == 20)
    }
}
