// SPDX-License-Identifier: Apache-2.0

import BrokerTesting
import Foundation
import Glibc
import Notifications
import Subprocess
import Testing

/// The audit log, which leads from a message on the broker back to the guest that reported it.
@Suite("conductor serve: audit log", .timeLimit(.minutes(3)))
struct ConductorAuditTests {
    /// Returns the facts of an audit line, by name.
    private func facts(_ line: String) -> [String: String] {
        Dictionary(
            line.matches(of: /(\w+)=(\S+)/).map { (String($0.output.1), String($0.output.2)) }, uniquingKeysWith: { $1 }
        )
    }

    private func auditLines(_ end: ProgramEnd) -> [String] {
        end.standardError.filter { $0.contains("conductor.audit:") }
    }

    @Test("The audit line of an accepted outcome names the message, the guest and its certificate")
    func auditLine() async throws {
        try await RelayFixture.with { relay in
            var notification: Notification?
            let end = try await relay.withConductor { conductor in
                let good = try await relay.exec(["true"], ports: [conductor.port])
                #expect(good.status == .exited(0), "\(good.errorText)")
                notification = try await conductor.notification(of: "dbaas.database_create.end")
            }
            let lines = self.auditLines(end)
            #expect(lines.count == 1, "\(end.errorText)")
            let facts = self.facts(try #require(lines.first))
            #expect(facts["message_id"] == notification?.object["message_id"] as? String)
            #expect(facts["event_type"] == "dbaas.database_create.end")
            #expect(facts["guest"] == "tenant-1/guest-1")
            #expect(facts["signed"] == "false" && facts["disposition"] == "published")
            #expect(facts["peer"]?.wholeMatch(of: /127\.0\.0\.1:\d+/) != nil)
            // As `openssl x509` shows it.
            let shown = try await Program("openssl").run(
                ["x509", "-in", relay.path("tls/guest-guest-1.pem"), "-noout", "-serial"])
            let serial = try #require(shown.standardOutput.first?.split(separator: "=").last)
            #expect(facts["certificate_serial"] == serial.lowercased())
        }
    }

    @Test("With audit.outcomes off, no audit line is logged")
    func disabledAudit() async throws {
        try await RelayFixture.with { relay in
            let end = try await relay.withConductor(more: "audit: {outcomes: false}") { conductor in
                let good = try await relay.exec(["true"], ports: [conductor.port])
                #expect(good.status == .exited(0), "\(good.errorText)")
            }
            #expect(self.auditLines(end).isEmpty, "\(end.errorText)")
        }
    }

    @Test("A log that is not read stalls no guest, and has the audit line once it is read")
    func slowReader() async throws {
        try await RelayFixture.with { relay in
            let log = try LogPipe(relay.path("log"))
            let rates = "limits: {requests_per_second: 100000, requests_burst: 100000}"
            let file = try relay.conductorFile(more: "log: {level: debug}\n\(rates)")
            let command = "exec \"$0\" serve --config \"$1\" 2>\"$2\""
            _ = try await Program("sh").run(["-c", command, Program.conductor.path, file, relay.path("log")]) {
                program in
                let listening = try await log.line(containing: "Listening for guests")
                let port = try #require(listening.firstMatch(of: /address=127\.0\.0\.1:(\d+)/)?.output.1)
                let messageID = MessageID()
                try await relay.withTerminal(port: String(port)) { guest in
                    // Each causes a debug line, together far more than the size of the pipe, which nothing reads here.
                    for _ in 1...150 { try await guest.write("no json") }
                    try await guest.standardOutput.line(containing: "parse_error", count: 150)
                    try await guest.write(
                        """
                        {"jsonrpc":"2.0","id":7,"method":"notify_end","params":{"context":{"operation":"database_create",\
                        "request_id":"r","tenant_id":"tenant-1","client_ip":"10.0.0.9","payload":{"instance_id":"guest-1",\
                        "dbname":"d"}},"message_id":"\(messageID)"}}
                        """)
                    try await guest.standardOutput.line(containing: #""disposition":"published""#)
                }
                let line = try await log.line(containing: "conductor.audit:")
                #expect(self.facts(line)["message_id"] == messageID.description)
                try program.send(.terminate)
                try await log.line(containing: "Counters since the start")
            }
        }
    }

    /// A named pipe with the size of a page, which is read only when a test waits for a line.
    private final class LogPipe {
        private let descriptor: CInt
        private var text = ""

        init(_ path: String) throws {
            try #require(mkfifo(path, 0o600) == 0)
            // Opened for writing too, so that it has both ends while the conductor starts.
            self.descriptor = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC)
            try #require(self.descriptor >= 0)
            // F_SETPIPE_SZ, which Swift does not import.
            _ = fcntl(self.descriptor, 1031, 4096)
        }

        deinit { close(self.descriptor) }

        @discardableResult
        func line(containing part: String) async throws -> String {
            while true {
                let lines = self.text.split(separator: "\n", omittingEmptySubsequences: false)
                if let line = lines.dropLast().first(where: { $0.contains(part) }) { return String(line) }
                var buffer = [UInt8](repeating: 0, count: 4096)
                let count = read(self.descriptor, &buffer, buffer.count)
                if count > 0 {
                    self.text += String(decoding: buffer[..<count], as: UTF8.self)
                } else {
                    try await Task.sleep(for: .milliseconds(5))
                }
            }
        }
    }
}
