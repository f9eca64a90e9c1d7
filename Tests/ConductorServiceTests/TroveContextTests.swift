// SPDX-License-Identifier: Apache-2.0

import BrokerTesting
import ConductorRPC
import ConductorService
import ContextSigning
import Foundation
import GuestAgent
import LogTesting
import Logging
import Notifications
import Notifier
import ProcessTesting
import RelayTesting
import Testing

/// Contexts from real Trove 26, from the control plane through a guest and a conductor to the real oslo.messaging.
@Suite(.timeLimit(.minutes(5))) struct TroveContextTests {
    private static let secret = "pl4nted-s3cret"

    @Test("Each of Trove's classes is read, and its context is published as oslo.messaging does")
    func troveClasses() async throws {
        let cases = try await RealTrove.cases(secret: Self.secret)
        #expect(Set(cases.map(\.className)) == Set(Catalogue.dbaas.operations.compactMap(\.troveClass)))
        for troveCase in cases {
            let context = try NotificationContext(json: JSONWriter.encode(.object(troveCase.context)))
            #expect(context.operation == troveCase.eventType, "\(troveCase)")
            #expect(context.requestID == troveCase.payload["request_id"]?.string)
            #expect(context.tenantID == "tenant-1" && context.userID == "user-1")
            #expect(context.clientIP == "192.0.2.17" && context.serverIP == "trove-api.example:8779")
            #expect(context.serverType == "api")
            #expect(try NotificationContext(json: JSONWriter.encode(.object(context.json))) == context)

            let operation = try #require(Catalogues.builtIn.operation(context.operation))
            let notification = try operation.notification(
                of: .error(ExceptionInfo(etype: "E", value: ""), payload: [:]), context: context,
                origin: NotificationOrigin(publisherID: "conductor.c", serverType: "conductor", serverIP: "s"),
                messageID: MessageID(), timestamp: .now())
            // Members, values and their order.
            #expect(notification.message.context == troveCase.published, "\(troveCase)")
        }
    }

    /// Returns the fields that Docs/events.md documents for an event: base fields, declared fields, identifiers.
    private func expectedFields(_ troveCase: RealTrove.Case, _ phase: OperationPhase) throws -> Set<String> {
        let operation = try #require(Catalogues.builtIn.operation(troveCase.eventType)).definition
        let event = try #require(operation.event(phase))
        // The conductor knows the guest's own instance, whatever Trove says.
        let known = Set(troveCase.payload.members.map(\.name)).union(["instance_id"])
        let said = phase == .end ? Set(troveCase.requiredEndTraits) : ["message", "exception"]
        var fields: Set = ["tenant_id", "user_id", "client_ip", "server_ip", "server_type", "request_id"]
        fields.formUnion(event.fields.map(\.name).filter { known.contains($0) || said.contains($0) })
        let started = Set(operation.start?.fields.map(\.name) ?? [])
        return fields.union(started.intersection(Catalogue.dbaas.identifiers).intersection(known))
    }

    private func messaging(_ broker: TestBroker, _ topic: UniqueTopic) -> MessagingConfiguration {
        var configuration = MessagingConfiguration(transportURL: broker.url)
        configuration.exchange = topic.exchange
        configuration.topic = topic.topic
        return configuration
    }

    @Test("An oslo.messaging listener receives every end and every error, and no secret")
    func osloListener() async throws {
        let cases = try await RealTrove.cases(secret: Self.secret)
        let broker = try TestBroker.shared()
        // One topic for the listener, and one to inspect the published messages.
        let (heard, raw) = (UniqueTopic(), UniqueTopic())
        let log = LogRecorder()
        let listener = try RealTrove.script(
            "oslo_listener",
            [
                "--url", broker.url, "--exchange", heard.exchange, "--topic", heard.topic, "--count", "76",
                "--timeout", "180",
            ])
        #expect(await listener.outputUntil("READY").contains("READY"))
        let notifier = Notifier(drivers: [
            try MessagingDriver(
                envelope: .messagingv2, configuration: self.messaging(broker, heard), logger: log.logger("driver")),
            try MessagingDriver(
                envelope: .messaging, configuration: self.messaging(broker, raw), logger: log.logger("driver")),
        ])
        try await withConductor(notifier, logger: log.logger("conductor")) { conductor in
            // While only one of the two is connected, an outcome that it accepts is sent again to both.
            while log.text.ranges(of: "Connected to RabbitMQ").count < 2 { await Task.yield() }
            let run = try await GuestAgentRun.start(
                conductor, logger: log.logger("guest"),
                redaction: try Redaction(fields: [], patterns: ["licence key *"]))
            for troveCase in cases {
                let context = try NotificationContext(json: JSONWriter.encode(.object(troveCase.context)))
                let said = JSONObject(
                    troveCase.requiredEndTraits.map {
                        ($0, .string($0 == "instance_id" ? "inst-1" : "\($0)-of-the-end"))
                    })
                try await run.agent.notify(.end(payload: said), context: context)
                let exception = ExceptionInfo(
                    etype: "OperationalError",
                    value: "no räum: mysql://root:\(Self.secret)@db/ with licence  KEY \(Self.secret)",
                    trace: ["connect(user='root', password='\(Self.secret)')"])
                try await run.agent.notify(
                    .error(exception, payload: ["db_password": .string(Self.secret)]), context: context)
            }
            try await run.drained()
            let counts = try await run.agent.counts()
            #expect(counts.delivered == 76 && counts.setAside == 0, "\(counts) \(log.text.suffix(2000))")
        }

        let output = await listener.outputUntilExit()
        let received = try RealTrove.objects(in: output)
        try #require(received.count == 76, "\(output.suffix(2000))")
        for troveCase in cases {
            for (phase, priority) in [(OperationPhase.end, "info"), (.error, "error")] {
                let matching = received.filter {
                    $0["event_type"]?.string == "dbaas.\(troveCase.eventType).\(phase.rawValue)"
                }
                try #require(matching.count == 1, "\(troveCase) \(phase)")
                let notification = matching[0]
                #expect(notification["priority"]?.string == priority)
                let payload = try #require(notification["payload"]?.object)
                #expect(Set(payload.members.map(\.name)) == (try self.expectedFields(troveCase, phase)), "\(troveCase)")
                #expect(payload["request_id"] == troveCase.payload["request_id"])
                let ctxt = try #require(notification["ctxt"]?.object)
                for member in troveCase.publishedUnsigned.members {
                    #expect(ctxt[member.name] == member.value, "\(troveCase) \(member.name)")
                }
                guard phase == .error else { continue }
                #expect(payload["message"] == "no räum: mysql://root:***@db/ with licence  KEY ***")
                #expect(payload["exception"]?.array?.first == "connect(user='root', password='***')")
            }
        }
        let client = BrokerClient(broker)
        let bodies = try await client.getAll(raw.info) + client.getAll(raw.error)
        #expect(bodies.count == 76)
        #expect(!bodies.contains { String(decoding: $0.body, as: UTF8.self).contains(Self.secret) })
        #expect(!output.contains(Self.secret))
        #expect(log.text.contains("Connected to a conductor"))
        #expect(!log.text.contains(Self.secret))
    }

    @Test("The conductor reads Trove's form on the wire")
    func troveFormOnWire() async throws {
        let cases = try await RealTrove.cases(secret: Self.secret)
        let driver = TestDriver()
        let log = LogRecorder()
        try await withConductor(Notifier(drivers: [driver]), logger: log.logger("conductor")) { conductor in
            try await RawGuest.with(conductor) { guest in
                for troveCase in cases {
                    let answer = try await guest.call(
                        self.line(
                            troveCase.context,
                            payload: JSONObject(
                                troveCase.requiredEndTraits.map { ($0, $0 == "instance_id" ? "inst-1" : "x") }))
                    )
                    #expect(answer.contains(#""disposition":"published""#), "\(troveCase): \(answer)")
                }
            }
        }
        #expect(driver.notifications.map(\.eventType) == cases.map { "dbaas.\($0.eventType).end" })
        #expect(driver.notifications.map(\.context) == cases.map(\.publishedUnsigned))
        #expect(!"\(driver.notifications)".contains(Self.secret))
        #expect(!log.text.contains(Self.secret))
    }

    @Test("A context that the control plane signed is published as oslo.messaging does")
    func signedContexts() async throws {
        let cases = try await RealTrove.cases(secret: Self.secret)
        #expect(cases.contains { $0.published != $0.publishedUnsigned })
        let key = try SignedGuest.key("now")
        let signer = try ContextSigner(key: key)
        let verifier = ContextVerifier(
            keys: try SigningKeySet([key]), configuration: ContextVerifier.Configuration(policy: .require))
        let driver = TestDriver()
        try await withConductor(Notifier(drivers: [driver]), verifier: verifier) { conductor in
            try await RawGuest.with(conductor) { guest in
                for troveCase in cases {
                    let context = try NotificationContext(json: JSONWriter.encode(.object(troveCase.context)))
                    var signed = troveCase.context
                    signed["token"] = .string(try #require(try signer.sign(context, instanceID: "inst-1").token))
                    let request: JSONValue = [
                        "jsonrpc": "2.0", "id": 1, "method": "notify_exc_info",
                        "params": ["context": .object(signed), "etype": "E", "value": "v"],
                    ]
                    let answer = try await guest.call(String(decoding: JSONWriter.encode(request), as: UTF8.self))
                    #expect(answer.contains(#""disposition":"published""#), "\(troveCase): \(answer)")
                }
            }
        }
        #expect(driver.notifications.map(\.context) == cases.map(\.published))
    }

    private func line(_ context: JSONObject, payload: JSONObject = [:]) -> String {
        let request: JSONValue = [
            "jsonrpc": "2.0", "id": 1, "method": "notify_end",
            "params": ["context": .object(context), "payload": .object(payload)],
        ]
        return String(decoding: JSONWriter.encode(request), as: UTF8.self)
    }

    @Test(
        "A class that is not one of Trove's is rejected, and nothing is published",
        arguments: [
            "os.system", "trove.common.notification.TroveInstanceCreate",
            "trove.common.notification.DBaaSAPINotification",
            "trove.common.notification.DBaaSUserCreate\u{0}",
        ])
    func foreignClass(name: String) async throws {
        let troveCase = try #require(try await RealTrove.cases(secret: Self.secret).first)
        var (context, notification) = (troveCase.context, troveCase.payload)
        notification["notification_classname"] = .string(name)
        context["trove_notification"] = .object(notification)
        let line = self.line(context)
        let driver = TestDriver()
        try await withConductor(Notifier(drivers: [driver])) { conductor in
            try await RawGuest.with(conductor) { guest in
                let answer = try await guest.call(line)
                let error = try #require(try JSONValue(json: Array(answer.utf8)).object?["error"]?.object)
                #expect(error["code"] == -32602)
                let data = try #require(error["data"]?.object)
                #expect(data["field"] == "params.context.trove_notification.notification_classname")
                #expect(data["retryable"] == false)
            }
        }
        #expect(driver.notifications.isEmpty)
    }
}
