// SPDX-License-Identifier: Apache-2.0

import BrokerTesting
import Foundation
import Subprocess
import Testing

/// The real oslo.messaging reads the notifications of a guest's commands, and its own messages are compared with ours.
@Suite("oslo.messaging", .timeLimit(.minutes(3)))
struct OsloCompatibilityTests {
    @Test("A real listener receives an end and an error event", arguments: ["messaging", "messagingv2"])
    func receivedOutcomes(_ driver: String) async throws {
        let broker = try TestBroker.shared()
        let names = UniqueTopic()
        try await RelayFixture.with { relay in
            var serverIP = ""
            let (end, received) = try await OsloListener.received(2, from: broker, names) {
                try await relay.withConductor(drivers: driver, more: broker.messaging(names)) { conductor in
                    serverIP = "127.0.0.1:\(conductor.port)"
                    let good = try await relay.exec(["true"], ports: [conductor.port])
                    #expect(good.status == .exited(0), "\(good.errorText)")
                    let bad = try await relay.exec(
                        ["sh", "-c", "echo 'no räum' >&2; exit 3"], ports: [conductor.port])
                    #expect(bad.status == .exited(3), "\(bad.errorText)")
                }
            }
            #expect(end.status == .exited(0), "\(end.errorText)")
            // The two priorities are two queues, and oslo may deliver them in any order.
            try #require(received.count == 2)
            let (info, error) = (
                try #require(received.first { $0.priority == "info" }),
                try #require(received.first { $0.priority == "error" })
            )
            for notification in [info, error] {
                #expect(notification.object["publisher_id"] as? String == "conductor.edge-1")
                let context = try #require(notification.object["ctxt"] as? [String: Any])
                #expect(context["request_id"] as? String == "req-1")
                #expect(context["project_id"] as? String == "tenant-1")
                #expect(context["user"] as? String == "user-1")
                let metadata = try #require(notification.object["metadata"] as? [String: String])
                #expect(Set(metadata.keys) == ["message_id", "timestamp"])
                #expect(UUID(uuidString: metadata["message_id"] ?? "") != nil)
                #expect(metadata["timestamp"]?.wholeMatch(of: /\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{6})?/) != nil)
            }
            let base: NSDictionary = [
                "tenant_id": "tenant-1", "user_id": "user-1", "client_ip": "10.1.2.3", "request_id": "req-1",
                "server_type": "conductor", "server_ip": serverIP, "instance_id": "guest-1", "dbname": "shop",
            ]
            #expect(info.eventType == "dbaas.database_create.end")
            #expect(info.payload as NSDictionary == base)
            #expect(error.eventType == "dbaas.database_create.error")
            #expect(error.message == "no räum")
            #expect(error.exception.last == "CommandFailed: no räum")
            let rest = error.payload.filter { !["message", "exception"].contains($0.key) }
            #expect(rest as NSDictionary == base)
        }
    }

    @Test("A real listener ignores the header that names the guest", arguments: ["messaging", "messagingv2"])
    func ignoredHeader(_ driver: String) async throws {
        let broker = try TestBroker.shared()
        let names = UniqueTopic()
        let (client, copies) = (BrokerClient(broker), "\(names.topic).copies")
        try await RelayFixture.with { relay in
            let (end, received) = try await OsloListener.received(1, from: broker, names) {
                // A second queue receives the same messages as the listener's.
                try await client.declareQueue(copies, durable: false)
                try await client.bind(copies, to: names.exchange, key: names.info)
                try await relay.withConductor(drivers: driver, more: broker.messaging(names)) { conductor in
                    let good = try await relay.exec(["true"], ports: [conductor.port])
                    #expect(good.status == .exited(0), "\(good.errorText)")
                }
            }
            #expect(end.status == .exited(0), "\(end.errorText)")
            let copy = try #require(try await client.get(copies))
            #expect(copy.properties.headerTexts == ["x-conductor-guest": "tenant-1/guest-1"])
            let notification = try #require(received.first)
            let metadata = try #require(notification.object["metadata"] as? [String: String])
            #expect(String(decoding: copy.body, as: UTF8.self).contains(try #require(metadata["message_id"])))
            #expect(notification.payload["dbname"] as? String == "shop")
            // The header is not part of the listener's notification either.
            #expect(!end.standardOutput.joined().contains("x-conductor-guest"))
        }
        try await client.deleteQueue(copies)
    }

    @Test(
        "Our messages have the same properties, members and order as oslo.messaging's own",
        arguments: ["messaging", "messagingv2"])
    func sameShape(_ driver: String) async throws {
        let broker = try TestBroker.shared()
        let (ours, theirs) = (UniqueTopic(), UniqueTopic())
        try await RelayFixture.with { relay in
            try await relay.withConductor(drivers: driver, more: broker.messaging(ours)) { conductor in
                let end = try await relay.exec(["true"], ports: [conductor.port])
                #expect(end.status == .exited(0))
            }
        }
        let sent = try await Compatibility.run(
            "oslo_notifier",
            [
                "--url", broker.url, "--exchange", theirs.exchange, "--topic", theirs.topic, "--driver", driver,
                "--event-type", "dbaas.database_create.end", "--payload", #"{"instance_id": "guest-1"}"#, "--context",
                #"{"project_id": "tenant-1", "user_id": "user-1", "request_id": "req-1"}"#,
            ])
        #expect(sent.status == .exited(0), "\(sent.errorText)")
        let client = BrokerClient(broker)
        let our = try #require(try await client.get(ours.info))
        let their = try #require(try await client.get(theirs.info))
        // They are equal except for the header with the guest's name.
        #expect(our.properties.headers == ["x-conductor-guest"])
        #expect(our.properties.headerTexts == ["x-conductor-guest": "tenant-1/guest-1"])
        var properties = our.properties
        (properties.headers, properties.headerTexts) = ([], [:])
        #expect(properties == their.properties)
        #expect(our.body.allSatisfy { $0 < 0x80 })
        #expect(self.members(our.body) == self.members(their.body))
        let (mine, oslo) = (try Notification(body: our.body), try Notification(body: their.body))
        #expect(self.contextMembers(our.body) == self.contextMembers(their.body))
        #expect(self.contextMembers(our.body).count == 17)
        #expect(Set(mine.object.keys) == Set(oslo.object.keys))
        for (name, value) in oslo.object where name.hasPrefix("_context_") {
            #expect(mine.object[name] as? NSObject == value as? NSObject, "\(name)")
        }
        for name in ["event_type", "priority"] {
            #expect(mine.object[name] as? String == oslo.object[name] as? String, "\(name)")
        }
        #expect((mine.object["_unique_id"] as? String)?.wholeMatch(of: /[0-9a-f]{32}/) != nil)
    }

    /// Returns the members of the request's context, in the order of the text.
    private func contextMembers(_ body: [UInt8]) -> [String] {
        String(decoding: body, as: UTF8.self).matches(of: /_context_\w+/).map { String($0.output) }
    }

    /// Returns those of the common members that are in the text, in the order of the text.
    private func members(_ body: [UInt8]) -> [String] {
        let text = String(decoding: body, as: UTF8.self)
        let names = [
            "oslo.version", "oslo.message", "message_id", "publisher_id", "event_type", "priority", "payload",
            "timestamp", "_unique_id",
        ]
        return names.compactMap { name in
            // With the backslash of a quote inside a string, the envelope's inner object is found as well.
            text.firstRange(of: "\(name)\\\":") ?? text.firstRange(of: "\(name)\":")
        }.sorted { $0.lowerBound < $1.lowerBound }.map { String(text[$0]) }
    }
}
