// SPDX-License-Identifier: Apache-2.0

import BrokerTesting
import Foundation
import Subprocess
import Testing

extension OsloCompatibilityTests {
    @Test("A script's start and error events and a guest's end event reach oslo.messaging")
    func scriptLifecycle() async throws {
        let broker = try TestBroker.shared()
        let names = UniqueTopic()
        try await RelayFixture.with { relay in
            let start = try relay.write(#"{"instance_id": "guest-1", "dbname": ["shop", "läger"]}"#, to: "start.json")
            let made = try await Program.conductor.run([
                "context", "database_create", "--request-id", "req-1", "--tenant", "tenant-1", "--user", "user-1",
                "--client-ip", "10.1.2.3", "--server-ip", "192.0.2.1:8779", "--payload", start,
            ])
            #expect(made.status == .exited(0), "\(made.errorText)")
            try #require(made.standardOutput.count == 2)
            let contexts = try made.standardOutput.enumerated().map {
                try relay.write($0.element, to: "context-\($0.offset).json")
            }

            var printed: [String] = []
            func notify(_ arguments: [String], _ config: String, input: String? = nil) async throws {
                let end = try await Program.conductor.run(["notify", "--config", config] + arguments) { program in
                    if let input { try await program.write(input) }
                }
                #expect(end.status == .exited(0), "\(end.errorText)")
                #expect(end.standardError.isEmpty, "\(end.errorText)")
                printed += end.standardOutput
            }
            let (end, received) = try await OsloListener.received(4, from: broker, names) {
                let messaging = broker.messaging(names)
                let config = try relay.write(
                    "drivers: [messagingv2]\npublisher: {host: control-1}\n\(messaging)\n", to: "notify.yaml")
                for context in contexts {
                    try await notify(["dbaas.database_create.start", "--context", context], config)
                }
                try await relay.withConductor(drivers: "messagingv2", more: messaging) { conductor in
                    let run = try await relay.exec(["true"], ports: [conductor.port], context: contexts[0])
                    #expect(run.status == .exited(0), "\(run.errorText)")
                }
                try await notify(
                    ["dbaas.database_create.error", "--context", contexts[1], "--payload", "-"], config,
                    input: #"{"message": "no guest", "exception": ["Traceback", "LookupError: no guest"]}"#)
            }
            #expect(end.status == .exited(0), "\(end.errorText)")
            func only(_ event: String, _ dbname: String) throws -> Notification {
                let found = received.filter { $0.eventType == event && $0.payload["dbname"] as? String == dbname }
                try #require(found.count == 1, "\(event) \(dbname)")
                return found[0]
            }
            let base: [String: Any] = [
                "tenant_id": "tenant-1", "user_id": "user-1", "client_ip": "10.1.2.3", "request_id": "req-1",
                "instance_id": "guest-1",
            ]
            let api: [String: Any] = ["server_type": "api", "server_ip": "192.0.2.1:8779"]
            for dbname in ["shop", "läger"] {
                let start = try only("dbaas.database_create.start", dbname)
                #expect(start.priority == "info" && start.object["publisher_id"] as? String == "api.control-1")
                let expected = base.merging(api) { $1 }.merging(["dbname": dbname]) { $1 }
                #expect(start.payload as NSDictionary == expected as NSDictionary)
                #expect((start.object["ctxt"] as? [String: Any])?["request_id"] as? String == "req-1")
            }
            let guest = try only("dbaas.database_create.end", "shop")
            #expect(guest.object["publisher_id"] as? String == "conductor.edge-1")
            #expect(guest.payload["server_type"] as? String == "conductor")
            let error = try only("dbaas.database_create.error", "läger")
            #expect(error.priority == "error" && error.message == "no guest")
            #expect(error.exception == ["Traceback", "LookupError: no guest"])
            // The printed identifiers are those by which a consumer recognizes duplicates.
            let own = received.filter { $0.object["publisher_id"] as? String == "api.control-1" }
            let identified = own.map { notification in
                let metadata = notification.object["metadata"] as? [String: String]
                return "\(metadata?["message_id"] ?? "") \(notification.eventType ?? "")"
            }
            #expect(Set(identified) == Set(printed) && printed.count == 3)
        }
    }
}
