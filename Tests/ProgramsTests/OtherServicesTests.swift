// SPDX-License-Identifier: Apache-2.0

import BrokerTesting
import Foundation
import Subprocess
import Testing

/// The events of MagnetoDB's catalogue file that commands in a guest lead to.
@Suite("Another service's catalogue", .timeLimit(.minutes(3)))
struct OtherServicesTests {
    private static let file = URL(fileURLWithPath: #filePath)
        .appending(path: "../../../deploy/catalogues/magnetodb.yaml").standardizedFileURL.path

    private static func catalogue(_ more: String = "") -> String { "catalogue: {files: [\(self.file)]\(more)}" }

    @Test("A real listener receives a table's end and error, and a data item's end without a suffix")
    func receivedEvents() async throws {
        let broker = try TestBroker.shared()
        let names = UniqueTopic()
        try await RelayFixture.with { relay in
            let table = try relay.contextFile(
                operation: "magnetodb.table.create",
                payload: #"{"table_name": "orders", "table_schema": "id", "state": "creating", "colour": "red"}"#)
            let item = try relay.contextFile(operation: "magnetodb.data.putitem", payload: "{}")
            let (end, received) = try await OsloListener.received(3, from: broker, names) {
                try await relay.withConductor(
                    drivers: "messagingv2", more: broker.messaging(names) + "\n" + Self.catalogue()
                ) { conductor in
                    let runs: [(context: String, command: String, status: TerminationStatus)] = [
                        (table, #"echo '{"state": "active", "disk_gb": 5}' > "$GUEST_AGENT_END_FIELDS""#, .exited(0)),
                        (table, "echo 'no room' >&2; exit 4", .exited(4)),
                        (
                            item, #"echo '{"table_name": "orders", "row_count": 1}' > "$GUEST_AGENT_END_FIELDS""#,
                            .exited(0)
                        ),
                    ]
                    for run in runs {
                        let end = try await relay.exec(
                            ["sh", "-c", run.command], ports: [conductor.port], context: run.context)
                        #expect(end.status == run.status, "\(end.errorText)")
                        #expect(!end.errorText.contains("NOT delivered"), "\(end.errorText)")
                    }
                }
            }
            #expect(end.status == .exited(0), "\(end.errorText)")
            #expect(received.count == 3)
            func notification(_ eventType: String) throws -> Notification {
                try #require(received.first { $0.eventType == eventType }, "\(received)")
            }
            let created = try notification("magnetodb.table.create.end")
            #expect(created.priority == "info")
            #expect(
                created.payload as NSDictionary == [
                    "tenant_id": "tenant-1", "user_id": "user-1", "table_name": "orders", "table_schema": "id",
                    "state": "active", "disk_gb": 5,
                ])
            let failed = try notification("magnetodb.table.create.error")
            #expect(failed.priority == "error")
            #expect(failed.message == "no room")
            #expect(failed.exception.last == "CommandFailed: no room")
            #expect(
                failed.payload.filter { $0.key != "exception" } as NSDictionary == [
                    "tenant_id": "tenant-1", "user_id": "user-1", "table_name": "orders", "table_schema": "id",
                    "state": "creating", "message": "no room",
                ])
            let put = try notification("magnetodb.data.putitem")
            #expect(put.priority == "info")
            #expect(
                put.payload as NSDictionary == [
                    "tenant_id": "tenant-1", "user_id": "user-1", "table_name": "orders", "row_count": 1,
                ])
        }
        // Each message went to the queue of its priority, and nothing else was published.
        let client = BrokerClient(broker)
        #expect(try await client.get(names.info) == nil)
        #expect(try await client.get(names.error) == nil)
    }

    @Test("An event that no catalogue has is rejected", arguments: ["magnetodb.table.crate", "table.create"])
    func unknownEvent(_ operation: String) async throws {
        try await RelayFixture.with { relay in
            try await relay.withConductor(more: Self.catalogue()) { conductor in
                let context = try relay.contextFile(operation: operation, payload: #"{"table_name": "orders"}"#)
                let end = try await relay.exec(["true"], ports: [conductor.port], context: context)
                #expect(end.status == .exited(0))
                #expect(end.errorText.contains("unknown_event"), "\(end.errorText)")
                #expect(try conductor.notifications().isEmpty)
            }
        }
    }

    @Test("An event that no guest may report is rejected, even if it is enabled")
    func standaloneEvent() async throws {
        try await RelayFixture.with { relay in
            try await relay.withConductor(more: Self.catalogue(", enable: [magnetodb.table.usage]")) { conductor in
                let context = try relay.contextFile(
                    operation: "magnetodb.table.usage", payload: #"{"table_name": "orders"}"#)
                let end = try await relay.exec(["true"], ports: [conductor.port], context: context)
                #expect(end.errorText.contains("unknown_event"), "\(end.errorText)")
                #expect(try conductor.notifications().isEmpty)
            }
        }
    }

    @Test("A disabled event is not published, and the agent treats it as delivered")
    func disabledEvent() async throws {
        try await RelayFixture.with { relay in
            let disable = ", disable: [\"magnetodb.data.*\", dbaas.database_create.end]"
            let conductor = try await relay.withConductor(more: Self.catalogue(disable)) { conductor in
                let item = try relay.contextFile(
                    operation: "magnetodb.data.putitem", payload: #"{"table_name": "orders", "colour": "red"}"#)
                for context in [item, try relay.contextFile()] {
                    let end = try await relay.exec(["true"], ports: [conductor.port], context: context)
                    #expect(end.status == .exited(0))
                    #expect(end.standardError.isEmpty, "\(end.errorText)")
                }
                // The guests have their answers, so all notifications so far have been written.
                let end = try await relay.exec(["false"], ports: [conductor.port])
                #expect(end.status == .exited(1))
                _ = try await conductor.notification(of: "dbaas.database_create.error")
                #expect(try conductor.notifications().count == 1)
            }
            let last = try #require(conductor.standardError.last { $0.contains("Counters since the start") })
            #expect(last.contains(" disabled=2 "), "\(last)")
            #expect(last.contains("undeclared_fields_left_out=magnetodb.data.putitem:1"), "\(last)")
        }
    }

    @Test("The answer to a disabled event's outcome has the disposition disabled")
    func disabledAnswer() async throws {
        try await RelayFixture.with { relay in
            let more = Self.catalogue(", disable: [magnetodb.table.create.end]")
            try await relay.withConductor(more: more) { conductor in
                let arguments = [
                    "s_client", "-connect", "127.0.0.1:\(conductor.port)", "-quiet", "-verify_return_error", "-CAfile",
                    relay.path("tls/ca.pem"), "-cert", relay.path("tls/guest-guest-1.pem"), "-key",
                    relay.path("tls/guest-guest-1.key"),
                ]
                _ = try await Program("openssl").run(arguments) { guest in
                    for (id, method) in [(1, "notify_end"), (2, "notify_exc_info")] {
                        try await guest.write(
                            #"{"jsonrpc":"2.0","id":\#(id),"method":"\#(method)","params":{"context":"#
                                + #"{"operation":"magnetodb.table.create","request_id":"r","tenant_id":"tenant-1","#
                                + #""client_ip":"c","payload":{"table_name":"t"}}"#
                                + (id == 1 ? "" : #","etype":"E","value":"v""#) + "}}")
                    }
                    let end = try await guest.standardOutput.line(containing: #""id":1"#)
                    #expect(end.contains(#""disposition":"disabled""#), "\(end)")
                    let error = try await guest.standardOutput.line(containing: #""id":2"#)
                    #expect(error.contains(#""disposition":"published""#), "\(error)")
                    try? guest.send(.terminate)
                }
                _ = try await conductor.notification(of: "magnetodb.table.create.error")
                #expect(try conductor.notifications().count == 1)
            }
        }
    }
}
