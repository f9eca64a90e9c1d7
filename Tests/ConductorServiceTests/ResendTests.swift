// SPDX-License-Identifier: Apache-2.0

import BrokerTesting
import ConductorRPC
import ConductorService
import LogTesting
import Logging
import Notifications
import Notifier
import RelayTesting
import Testing

/// Several conductors over one broker: guests change from one to another.
@Suite(.timeLimit(.minutes(2))) struct ResendTests {
    @Test("An outcome that is sent again to another conductor is the same message")
    func resendToAnotherConductor() async throws {
        let broker = try TestBroker.shared()
        let topic = UniqueTopic()
        var messaging = MessagingConfiguration(transportURL: broker.url)
        messaging.exchange = topic.exchange
        messaging.topic = topic.topic
        let logger = Logger.quiet
        let certificates = try TestCertificates()
        // Any stored outcome of the spool: an error with a trace, and text from outside.
        var report = OutcomeReport(
            context: SampleReport.context(dbname: "caf\u{E9} \u{1F600}"),
            outcome: .error(ExceptionInfo(etype: "DiskFull", value: "no \"space\"", trace: ["1", "2"]), payload: [:]))
        report.context.payload["undeclared"] = "x"
        var ports: [Int] = []
        let notifiers = try (1...2).map { _ in
            try Notifier(names: [.messagingv2], messaging: messaging, logger: logger)
        }
        try await withConductor(notifiers[0], certificates: certificates) { first in
            try await withConductor(notifiers[1], certificates: certificates) { second in
                for conductor in [first, second] {
                    let connection = try await conductor.connect()
                    // The second conductor has not seen it, and publishes it again.
                    try await self.publish(report, over: connection)
                    ports.append(conductor.port)
                    await connection.close()
                }
            }
        }
        let bodies = try await BrokerClient(broker).getAll(topic.error).map { String(decoding: $0.body, as: UTF8.self) }
        #expect(bodies.count == 2)
        // The unique id is new for each send, as in oslo; and the address that the guest reached differs between two
        // conductors.
        let unique = /\\"_unique_id\\":\\"[0-9a-f]{32}\\"/
        let alike = zip(bodies, ports).map { body, port in
            body.replacing(unique, with: "").replacing("127.0.0.1:\(port)", with: "")
        }
        #expect(Set(bodies).count == 2 && Set(alike).count == 1, "\(bodies)")
        #expect(bodies.allSatisfy { $0.contains(report.messageID.description) && $0.firstMatch(of: unique) != nil })
        let client = BrokerClient(broker)
        for queue in [topic.info, topic.error] { try await client.deleteQueue(queue) }
        try await client.deleteExchange(topic.exchange)
    }

    private func publish(_ report: OutcomeReport, over connection: ConductorConnection) async throws {
        while true {
            do {
                let reply = try await connection.call(.notify(report))
                #expect(reply == .accepted(report.messageID, .published))
                return
            } catch RPCCallError.rejected(let error) where error.code == .brokerUnavailable {
                await Task.yield()
            }
        }
    }
}
