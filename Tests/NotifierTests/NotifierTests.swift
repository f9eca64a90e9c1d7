// SPDX-License-Identifier: Apache-2.0

import BrokerTesting
import Foundation
import LogTesting
import Logging
import NIOConcurrencyHelpers
import Notifications
import Notifier
import RelayTesting
import Testing

@Suite struct NotifierTests {
    private let notification = NotificationMessage(
        messageID: MessageID(), publisherID: "conductor.c", eventType: "dbaas.user_create.end", priority: .info,
        payload: ["username": "ü"], timestamp: .now())

    @Test("Every driver receives every notification")
    func everyDriver() async throws {
        let (one, two) = (TestDriver(), TestDriver())
        try await Notifier(drivers: [one, NoopDriver(), two]).emit(self.notification)
        #expect(one.notifications == [self.notification])
        #expect(two.notifications == [self.notification])
    }

    @Test("A notification without drivers succeeds at once")
    func noDrivers() async throws {
        try await Notifier(drivers: []).emit(self.notification)
    }

    @Test("A failing driver fails the notification, and a retryable error takes precedence")
    func failingDriver() async throws {
        let refuse = DriverError(.rejected, driver: "a", reason: "no")
        let busy = DriverError(.unavailable, driver: "b", reason: "later")
        let (a, b) = (HeldDriver(), HeldDriver())
        let notifier = Notifier(drivers: [a, b, NoopDriver()])
        let outcome = Task { try await notifier.emit(self.notification) }
        await a.received(1)
        await b.received(1)
        a.release(.failure(refuse))
        b.release(.failure(busy))
        let error = await #expect(throws: DriverError.self) { try await outcome.value }
        #expect(error == busy)
    }

    @Test("Drivers are selected by name, each once")
    func driversByName() throws {
        let notifier = try Notifier(names: [.log, .noop, .log, .test], logger: Logger(label: "test"))
        #expect(notifier.drivers.map(\.name) == ["log", "noop", "test"])
    }

    /// A driver as another package writes it: with what is public only.
    private struct ForeignDriver: NotificationDriver {
        let name = "foreign"
        let stored = TestDriver()

        func emit(
            _ notification: NotificationMessage, completion: @escaping @Sendable (Result<Void, DriverError>) -> Void
        ) {
            self.stored.emit(notification, completion: completion)
        }
    }

    @Test("A custom driver is used in addition to drivers selected by name")
    func customDriver() async throws {
        let foreign = ForeignDriver()
        let notifier = try Notifier(names: [.noop], drivers: [foreign], logger: Logger(label: "test"))
        #expect(notifier.drivers.map(\.name) == ["noop", "foreign"])
        try await notifier.emit(self.notification)
        let prepared = notifier.prepare(self.notification)
        #expect(foreign.stored.notifications == [self.notification])
        let result = await withCheckedContinuation { continuation in
            prepared.enqueue { continuation.resume(returning: $0) }
        }
        try result.get()
        #expect(foreign.stored.notifications == [self.notification, self.notification])
    }

    @Test("A messaging driver requires a valid transport URL")
    func transportURL() {
        #expect(throws: DriverError.self) { try Notifier(names: [.messagingv2], logger: Logger(label: "test")) }
        let error = #expect(throws: DriverError.self) {
            try Notifier(
                names: [.messaging], messaging: .init(transportURL: "http://u:hunter2@h/"),
                logger: Logger(label: "test"))
        }
        #expect(error?.description.contains("hunter2") == false)
    }

    @Test("Plaintext to another machine is rejected unless the URL has ssl=0")
    func plaintextRejected() throws {
        let logger = Logger(label: "test")
        for name in [DriverName.messaging, .messagingv2] {
            let error = #expect(throws: DriverError.self) {
                try Notifier(
                    names: [name], messaging: .init(transportURL: "rabbit://u:hunter2@192.0.2.1/"), logger: logger)
            }
            #expect(error?.reason.contains("ssl=0") == true && error?.reason.contains("hunter2") == false)
            let envelope = name == .messaging ? Envelope.messaging : .messagingv2
            #expect(throws: DriverError.self) {
                try MessagingDriver(
                    envelope: envelope, configuration: .init(transportURL: "amqp://192.0.2.1/"), logger: logger)
            }
            let meant = MessagingConfiguration(transportURL: "rabbit://u:hunter2@192.0.2.1,localhost/?ssl=0")
            #expect(meant.plaintextHosts == ["192.0.2.1:5672"])
            _ = try Notifier(names: [name], messaging: meant, logger: logger)
        }
    }

    @Test("No printed form of a configuration contains a password")
    func hiddenPassword() {
        let configuration = MessagingConfiguration(transportURL: "rabbit://u:hunter2@h:5672/v")
        var dumped = ""
        dump(configuration, to: &dumped)
        for text in ["\(configuration)", String(reflecting: configuration), dumped] {
            #expect(text.contains("***") && !text.contains("hunter2"), "\(text)")
        }
    }

    @Test("A full test driver fails with a retryable error")
    func fullTestDriver() async throws {
        let driver = TestDriver(capacity: 1)
        try await driver.emit(self.notification)
        let error = await #expect(throws: DriverError.self) { try await driver.emit(self.notification) }
        #expect(error?.isRetryable == true)
    }

    @Test("An exchange or topic name that AMQP cannot carry is rejected", arguments: ["exchange", "topic"])
    func longNames(setting: String) {
        var messaging = MessagingConfiguration(transportURL: "rabbit://localhost/")
        let name = String(repeating: "x", count: 256)
        if setting == "topic" { messaging.topic = name } else { messaging.exchange = name }
        let error = #expect(throws: DriverError.self) {
            try Notifier(names: [.messaging], messaging: messaging, logger: Logger(label: "test"))
        }
        #expect(error?.description.contains("messaging.\(setting)") == true)
    }

    /// Returns a notification of a guest, and a record of the bytes that the guest is charged.
    private func guestNotification() -> (NotificationMessage, NIOLockedValueBox<[Int]>) {
        let charged = NIOLockedValueBox([Int]())
        var notification = NotificationMessage(
            messageID: MessageID(), publisherID: "conductor.h", eventType: "dbaas.database_create.end", priority: .info,
            payload: ["dbname": .string(String(repeating: "é", count: 10_000))], timestamp: .now())
        notification.sender = NotificationSender(key: 1, name: "inst-1") { bytes in
            charged.withLockedValue { $0.append(bytes) }
        }
        return (notification, charged)
    }

    /// A guest is charged for all bytes that are sent to the broker, so that it cannot delay the others. An escaped
    /// letter has seven bytes.
    @Test("The messaging driver charges a guest for the bytes of the encoded message")
    func chargedBytes() async throws {
        let (notification, charged) = self.guestNotification()
        let broker = try TestBroker.shared()
        let topic = UniqueTopic()
        var messaging = MessagingConfiguration(transportURL: broker.url)
        (messaging.exchange, messaging.topic) = (topic.exchange, topic.topic)
        let log = LogRecorder()
        let notifier = try Notifier(
            names: [.messagingv2, .messaging, .noop], messaging: messaging, logger: log.logger)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await notifier.run() }
            await log.first("Connected to RabbitMQ")
            try await notifier.emit(notification)
            group.cancelAll()
        }
        let charges = charged.withLockedValue { $0 }
        let lengths = try await BrokerClient(broker).getAll(topic.info).map(\.body.count)
        // Charged once, for the longer of the two messages.
        #expect(lengths.count == 2 && charges.reduce(0, +) == lengths.max(), "\(charges) \(lengths)")
        #expect(charges.reduce(0, +) > 70_000)
    }

    @Test("A notification that a driver rejects is not charged")
    func rejectedNotCharged() async throws {
        let (notification, charged) = self.guestNotification()
        let messaging = try MessagingDriver(
            envelope: .messagingv2, configuration: .init(transportURL: "rabbit://localhost/"),
            logger: Logger(label: "test"))
        let error = await #expect(throws: DriverError.self) { try await messaging.emit(notification) }
        #expect(error?.code == .unavailable && error?.driver == "messagingv2")
        // What is known where the publish failed reaches the sender unchanged: there was no connection.
        #expect(error?.cause == .notConnected && error?.mayHaveArrived == false && error?.limitBytes == nil)
        let output = try #require(FileHandle(forWritingAtPath: "/dev/null"))
        let log = LogDriver(output: output, capacity: 0)
        await #expect(throws: DriverError.self) { try await log.emit(notification) }
        #expect(charged.withLockedValue { $0 } == [])
        try await LogDriver(output: output).emit(notification)
        #expect(charged.withLockedValue { $0 }.count == 1)
    }
}
