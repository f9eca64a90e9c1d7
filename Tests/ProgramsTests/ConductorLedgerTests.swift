// SPDX-License-Identifier: Apache-2.0

import BrokerTesting
import Foundation
import Notifications
import Subprocess
import Testing

/// The line of counters, and the end of the conductor.
@Suite("conductor serve: ledger and shutdown", .timeLimit(.minutes(3)))
struct ConductorLedgerTests {
    private func call(_ id: Int, _ messageID: MessageID = MessageID(), operation: String = "database_create") -> String
    {
        """
        {"jsonrpc":"2.0","id":\(id),"method":"notify_end","params":{"context":{"operation":"\(operation)",\
        "request_id":"r","tenant_id":"tenant-1","client_ip":"10.0.0.9","payload":{"instance_id":"guest-1","dbname":"d"}},\
        "message_id":"\(messageID)"}}
        """
    }

    /// Returns the counters of a line, by name.
    private func counters(_ line: String) throws -> [String: String] {
        Dictionary(
            uniqueKeysWithValues: line.matches(of: /(\w+)=(\S+)/).map { (String($0.output.1), String($0.output.2)) })
    }

    @Test("SIGUSR1 logs the counters, and the last log line has them too")
    func countersOnSignal() async throws {
        try await RelayFixture.with { relay in
            let end = try await relay.withConductor { conductor in
                try await relay.withTerminal(port: conductor.port) { guest in
                    let messageID = MessageID()
                    let lines = [
                        self.call(1, messageID), self.call(1, messageID), "no json",
                        self.call(1, operation: "shutdown"),
                    ]
                    for (number, line) in lines.enumerated() {
                        try await guest.write(line)
                        try await guest.standardOutput.line(containing: "\"jsonrpc\"", count: number + 2)
                    }
                    try conductor.program.send(.userDefinedOne)
                    let line = try await conductor.program.standardError.line(containing: "] Counters")
                    let expected = [
                        "received": "4", "published": "1", "duplicate": "1", "disabled": "0", "rejected_total": "2",
                        "rejected_parse_error": "1", "rejected_unknown_event": "1", "in_flight": "0", "pings": "1",
                        "balanced": "true", "undeclared_fields_left_out": "0", "forgotten_operations": "0",
                    ]
                    #expect(try self.counters(line) == expected)
                }
            }
            let last = try #require(end.standardError.last)
            #expect(last.hasSuffix("Counters since the start"), "\(end.errorText)")
            #expect(try self.counters(last)["received"] == "4")
        }
    }

    @Test("After SIGTERM, all requests in flight are answered and new guests use another conductor")
    func draining() async throws {
        let broker = try TestBroker.shared()
        let topic = UniqueTopic()
        let count = 50
        try await TCPProxy.with(targetPort: broker.port) { proxy in
            try await RelayFixture.with { relay in
                func messaging(_ url: String) -> String {
                    """
                    messaging: {transport_url: "\(url)", exchange: \(topic.exchange), topic: \(topic.topic), publish_timeout: 600}
                    drain_timeout: 600
                    """
                }
                let other = messaging(broker.url)
                let file = try relay.conductorFile(
                    drivers: "messagingv2", more: messaging(broker.url(port: proxy.port)))
                var ports: [String] = []
                let end = try await Program.conductor.run(["serve", "--config", file]) { program in
                    let first = try await relay.listening(program)
                    try await program.standardError.line(containing: "Connected to RabbitMQ")
                    try await relay.withConductor(drivers: "messagingv2", more: other) { second in
                        try await second.program.standardError.line(containing: "Connected to RabbitMQ")
                        ports = [first.port, second.port]
                        try await relay.withTerminal(port: first.port) { guest in
                            // The broker receives nothing until the proxy forwards again.
                            proxy.set(.stall)
                            for id in 1...count { try await guest.write(self.call(id)) }
                            // Wait until all are accepted: only accepted requests must be answered.
                            var asked = 0
                            while true {
                                asked += 1
                                try program.send(.userDefinedOne)
                                let line = try await program.standardError.line(containing: "] Counters", count: asked)
                                if try self.counters(line)["in_flight"] == "\(count)" { break }
                            }
                            try program.send(.terminate)
                            try await program.standardError.line(containing: "Draining")
                            // It accepts no new guests; they connect to the other conductor.
                            let exec = try await relay.exec(["true"], ports: ports)
                            #expect(exec.status == .exited(0), "\(exec.errorText)")
                            #expect(try await BrokerClient(broker).count(topic.info) == 1)
                            // It still logs its progress on SIGUSR1.
                            try program.send(.userDefinedOne)
                            let line = try await program.standardError.line(containing: "] Counters", count: asked + 1)
                            #expect(try self.counters(line)["in_flight"] == "\(count)")

                            proxy.set(.forward)
                            try await guest.standardOutput.line(containing: #""disposition":"published""#, count: count)
                        }
                        try await program.standardError.end()
                    }
                }
                #expect(end.status == .exited(0), "\(end.errorText)")
                let last = try self.counters(try #require(end.standardError.last))
                #expect(last["published"] == "\(count)" && last["in_flight"] == "0" && last["balanced"] == "true")
                #expect(try await BrokerClient(broker).count(topic.info) == count + 1)
            }
        }
        let client = BrokerClient(broker)
        for queue in [topic.info, topic.error] { try await client.deleteQueue(queue) }
        try await client.deleteExchange(topic.exchange)
    }
}
