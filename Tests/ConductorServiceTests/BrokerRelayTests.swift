// SPDX-License-Identifier: Apache-2.0

import BrokerTesting
import ConductorRPC
import ConductorService
import Foundation
import GuestAgent
import GuestSpool
import LogTesting
import Logging
import NIOConcurrencyHelpers
import NIOCore
import Notifications
import Notifier
import ProcessTesting
import RabbitMQ
import RelayTesting
import Testing

/// The conductor over a real RabbitMQ node.
@Suite(.timeLimit(.minutes(5))) struct BrokerRelayTests {
    private let logger = Logger.quiet

    private func notifier(
        _ url: String, _ topic: UniqueTopic, driver: DriverName = .messagingv2
    ) throws -> Notifier {
        var messaging = MessagingConfiguration(transportURL: url)
        messaging.exchange = topic.exchange
        messaging.topic = topic.topic
        return try Notifier(names: [driver], messaging: messaging, logger: self.logger)
    }

    /// Returns once the conductor publishes: it has then answered a first report.
    private func published(_ connection: ConductorConnection) async throws {
        while true {
            do {
                _ = try await connection.call(.notify(SampleReport.end()))
                return
            } catch RPCCallError.rejected(let error) where error.code == .brokerUnavailable {
                await Task.yield()
            }
        }
    }

    @Test("A line typed into OpenSSL is answered only after the broker has confirmed the message")
    func answerAfterConfirmation() async throws {
        let broker = try TestBroker.shared()
        let topic = UniqueTopic()
        let client = BrokerClient(broker)
        try await TCPProxy.with(targetPort: UInt16(broker.port)) { proxy in
            let url = broker.url(port: proxy.port)
            try await withConductor(try self.notifier(url, topic)) { conductor in
                let connection = try await conductor.connect()
                try await self.published(connection)

                let certificates = conductor.certificates
                let terminal = try TestProcess(
                    "openssl",
                    [
                        "s_client", "-quiet", "-connect", "127.0.0.1:\(conductor.port)", "-CAfile",
                        certificates.path("ca.pem"), "-cert", certificates.path("guest.pem"), "-key",
                        certificates.path("guest.key"),
                    ])
                // From here on no bytes reach the broker, and none come from it.
                proxy.set(.stall)
                let messageID = MessageID()
                try terminal.send(SampleReport.line(id: 1, messageID: messageID) + "\n")
                try terminal.send(#"{"jsonrpc":"2.0","id":2,"method":"ping"}"# + "\n")
                let before = await terminal.outputUntil(#""id":2"#)
                #expect(!before.contains(#""id":1"#), "answered before the broker could confirm")
                #expect(try await client.count(topic.info) == 1)

                proxy.set(.forward)
                let after = await terminal.outputUntil(#""id":1"#)
                #expect(after.contains(#""disposition":"published""#))
                #expect(after.contains(messageID.description))
                #expect(try await client.count(topic.info) == 2)
                await terminal.finish()
                await connection.close()
            }
        }
    }

    @Test("While the broker is stopped, a call is retryable, and the agent retries with the same id")
    func stoppedBroker() async throws {
        try await withPrivateBroker { broker in
            let topic = UniqueTopic()
            var messaging = MessagingConfiguration(transportURL: broker.url)
            messaging.exchange = topic.exchange
            messaging.topic = topic.topic
            let driver = ObservedDriver(
                try MessagingDriver(envelope: .messagingv2, configuration: messaging, logger: self.logger))
            try await withConductor(Notifier(drivers: [driver])) { conductor in
                let connection = try await conductor.connect()
                try await self.published(connection)
                try await broker.stop()

                let report = SampleReport.end()
                let refusal = await #expect(throws: RPCCallError.self) { try await connection.call(.notify(report)) }
                guard case .rejected(let error)? = refusal else {
                    Issue.record("\(String(describing: refusal))")
                    return
                }
                #expect(error.code == .brokerUnavailable)
                #expect(error.code.isRetryable && error.retryAfterMilliseconds != nil)
                await connection.close()

                let outcome = try await GuestAgentRun.start(conductor, logger: self.logger)
                let failedBefore = driver.failed.count
                try await outcome.agent.notify(.end(payload: [:]), context: SampleReport.context(dbname: "waiting"))
                await driver.failed(failedBefore + 2)
                try await broker.restart()
                try await outcome.drained()

                #expect(try await outcome.agent.counts().delivered == 1)
                let messageID = try #require(driver.succeeded.last)
                // The agent's own attempts, while the broker was down, had the same id.
                #expect(driver.failed[failedBefore...].allSatisfy { $0 == messageID })
                let bodies = try await BrokerClient(broker).getAll(topic.info).map {
                    String(decoding: $0.body, as: UTF8.self)
                }
                // The queue is not durable: its earlier messages were lost with the node.
                #expect(bodies.count == 1)
                #expect(bodies.first?.contains(messageID.description) == true)
            }
        }
    }

    @Test("Each of 10 000 pipelined calls is answered and is in the queue once")
    func pipelinedCalls() async throws {
        let broker = try TestBroker.shared()
        let topic = UniqueTopic()
        try await withConductor(try self.notifier(broker.url, topic)) {
            // The guest's rate limit is not tested here.
            $0.limits.rates.requestsBurst = 1_000_000
            $0.limits.rates.bytesBurst = 1 << 30
        } _: { conductor in
            let connection = try await conductor.connect()
            try await self.published(connection)
            let reports = (0..<10_000).map { SampleReport.end(dbname: "db\($0)") }
            let mismatches = try await self.call(reports, over: connection)
            #expect(mismatches == 0)
            #expect(try await BrokerClient(broker).count(topic.info) == 10_001)
            await connection.close()
        }
    }

    @Test("The reports of 200 concurrent connections are each answered and in the queue once")
    func concurrentConnections() async throws {
        let broker = try TestBroker.shared()
        let topic = UniqueTopic()
        // A slow machine needs time for so many handshakes at once.
        try await withConductor(try self.notifier(broker.url, topic)) {
            $0.limits.connectionsPerGuest = 201
            $0.handshakeTimeout = .seconds(120)
        } _: { conductor in
            var patient = ConductorConnection.Configuration()
            patient.connectTimeout = .seconds(120)
            let configuration = patient
            let first = try await conductor.connect()
            try await self.published(first)
            let mismatches = try await withThrowingTaskGroup(of: Int.self) { group in
                for connectionNumber in 0..<200 {
                    group.addTask {
                        let connection = try await conductor.connect(configuration)
                        let reports = (0..<10).map { SampleReport.end(dbname: "c\(connectionNumber)-\($0)") }
                        let mismatches = try await self.call(reports, over: connection)
                        await connection.close()
                        return mismatches
                    }
                }
                return try await group.reduce(0, +)
            }
            #expect(mismatches == 0)
            let bodies = try await BrokerClient(broker).getAll(topic.info)
            #expect(bodies.count == 2001)
            #expect(Set(bodies.map(\.body)).count == 2001)
            await first.close()
        }
    }

    /// Sends all at once, and counts the answers that do not name their request's message.
    private func call(_ reports: [OutcomeReport], over connection: ConductorConnection) async throws -> Int {
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for report in reports {
                group.addTask {
                    try await connection.call(.notify(report)) == .accepted(report.messageID, .published)
                }
            }
            return try await group.reduce(0) { $0 + ($1 ? 0 : 1) }
        }
    }

    @Test("A message larger than the broker accepts is rejected, and later ones are published")
    func oversizedMessage() async throws {
        try await withPrivateBroker(maxMessageSize: 20_000) { broker in
            let topic = UniqueTopic()
            try await withConductor(try self.notifier(broker.url, topic)) { conductor in
                let connection = try await conductor.connect()
                try await self.published(connection)
                for _ in 1...2 {
                    let large = SampleReport.end(dbname: String(repeating: "x", count: 30_000))
                    let refusal = await #expect(throws: RPCCallError.self) { try await connection.call(.notify(large)) }
                    guard case .rejected(let error)? = refusal else {
                        Issue.record("\(String(describing: refusal))")
                        return
                    }
                    #expect(error.code == .tooLarge)
                    #expect(error.limitBytes == 20_000)
                    try await self.published(connection)
                }
                await connection.close()
            }
        }
    }

    /// The header is from the certificate, whatever a report says, and has space for the longest possible name.
    @Test("The header of a message names the guest of the certificate")
    func guestInMessageHeader() async throws {
        let broker = try TestBroker.shared()
        let topic = UniqueTopic()
        let (tenant, instance) = (String(repeating: "t", count: 255), String(repeating: "i", count: 255))
        let certificates = try TestCertificates()
        try certificates.write(
            "guest", TestCertificates.guest(of: certificates.authority, instance: instance, tenant: tenant))
        try await withConductor(try self.notifier(broker.url, topic), certificates: certificates) { conductor in
            let connection = try await conductor.connect()
            let context = NotificationContext(
                operation: "database_create", requestID: "req-1", tenantID: tenant, userID: "inst-2",
                clientIP: "198.51.100.7", payload: ["instance_id": .string(instance), "dbname": "x-conductor-guest"])
            while true {
                do {
                    let report = OutcomeReport(context: context, outcome: .end(payload: [:]))
                    _ = try await connection.call(.notify(report))
                    break
                } catch RPCCallError.rejected(let error) where error.code == .brokerUnavailable {
                    await Task.yield()
                }
            }
            let message = try #require(try await BrokerClient(broker).get(topic.info))
            #expect(message.properties.headerTexts == ["x-conductor-guest": "\(tenant)/\(instance)"])
            await connection.close()
        }
    }

    @Test("An error is published to the error queue", arguments: [DriverName.messaging, .messagingv2])
    func errorQueue(driver: DriverName) async throws {
        let broker = try TestBroker.shared()
        let topic = UniqueTopic()
        try await withConductor(try self.notifier(broker.url, topic, driver: driver)) { conductor in
            let connection = try await conductor.connect()
            try await self.published(connection)
            let report = OutcomeReport(
                context: SampleReport.context(),
                outcome: .error(ExceptionInfo(etype: "DiskFull", value: "no space"), payload: [:]))
            #expect(try await connection.call(.notify(report)) == .accepted(report.messageID, .published))
            let message = try #require(try await BrokerClient(broker).get(topic.error))
            #expect(message.properties.contentType == "application/json")
            #expect(message.properties.contentEncoding == "utf-8")
            #expect(message.properties.deliveryMode == 2)
            #expect(message.properties.headers == ["x-conductor-guest"])
            #expect(message.properties.headerTexts == ["x-conductor-guest": "inst-1"])
            #expect(message.properties.others.isEmpty)
            var body = try #require(try JSONValue(json: message.body).object)
            if driver == .messagingv2 {
                #expect(body["oslo.version"] == "2.0")
                let inner = try #require(body["oslo.message"]?.string)
                body = try #require(try JSONValue(json: Array(inner.utf8)).object)
            }
            #expect(body["event_type"] == "dbaas.database_create.error")
            #expect(body["priority"] == "ERROR")
            #expect(body["payload"]?.object?["message"] == "no space")
            await connection.close()
        }
    }
}
