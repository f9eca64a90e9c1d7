// SPDX-License-Identifier: Apache-2.0

import Foundation
import Subprocess
import Testing

/// Commands with contexts that real Trove has made, and secrets that pass through the two programs.
@Suite("guest-agent exec: Trove's contexts and secrets", .timeLimit(.minutes(2)))
struct TroveExecTests {
    private static let secret = "pl4nted-s3cret"

    private struct MissingPython: Error, CustomStringConvertible {
        let description =
            "CONDUCTOR_TEST_PYTHON is not set: these tests need a Python with Trove, which Tests/run installs; or make "
            + "one as Tests/Compatibility/README.md says and set the variable to it"
    }

    /// Returns the contexts that trove_contexts.py prints.
    private func contexts(_ arguments: String...) async throws -> [[String: Any]] {
        guard let python = ProcessInfo.processInfo.environment["CONDUCTOR_TEST_PYTHON"], !python.isEmpty else {
            throw MissingPython()
        }
        let script = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../Compatibility/trove_contexts.py").standardizedFileURL
        let end = try await Program(python).run(
            ["-W", "ignore", script.path, "--secret", Self.secret, "--instance", "guest-1"] + arguments)
        try #require(end.status == .exited(0), "\(end.errorText)")
        return try end.standardOutput.map { try Notification($0).object }
    }

    private func write(_ context: Any?, _ relay: RelayFixture) throws -> String {
        let data = try JSONSerialization.data(withJSONObject: try #require(context))
        return try relay.write(String(decoding: data, as: UTF8.self), to: "trove-\(UUID().uuidString).json")
    }

    private let redaction = "log: {level: debug}\nredaction: {fields: [licence], patterns: [\"unlock with *\"]}"

    @Test("A real Trove context leads to end and error events, with no secret published or logged")
    func endToEnd() async throws {
        let backup = try #require(
            try await self.contexts().first { $0["class"] as? String == "DBaaSBackupCreate" })
        try await RelayFixture.with { relay in
            let context = try self.write(backup["context"], relay)
            let environment = [
                "GUEST_AGENT_LOG_LEVEL": "debug", "GUEST_AGENT_REDACTION_PATTERNS": "unlock with *, open *!",
                "PLANTED": Self.secret,
            ]
            let ends = try await relay.withConductor(more: self.redaction) { conductor in
                let good = try await relay.exec(
                    [
                        "sh", "-c",
                        #"echo "{\"backup_id\": \"b-1\", \"licence\": \"$PLANTED\"}" >"$GUEST_AGENT_END_FIELDS""#,
                    ], ports: [conductor.port], context: context, environment: environment)
                #expect(good.status == .exited(0), "\(good.errorText)")
                #expect(!good.errorText.contains(Self.secret))
                let end = try await conductor.notification(of: "dbaas.backup_create.end")
                #expect(end.payload["backup_id"] as? String == "b-1")
                #expect(end.payload["request_id"] as? String == "req-00000022")
                #expect(end.payload["tenant_id"] as? String == "tenant-1")
                #expect(end.payload["user_id"] as? String == "user-1")
                #expect(end.payload["client_ip"] as? String == "192.0.2.17")
                #expect(
                    Set(end.payload.keys) == [
                        "tenant_id", "user_id", "client_ip", "server_ip", "server_type", "request_id", "backup_id",
                        "instance_id",
                    ])
                let published = try #require(backup["published"] as? [String: Any])
                for (name, value) in published {
                    // The context is not signed, so it grants no roles.
                    let value = name == "roles" ? [] as [String] : value
                    #expect(end.object["_context_\(name)"] as? NSObject == value as? NSObject, "\(name)")
                }
                #expect(end.object.keys.count { $0.hasPrefix("_context_") } == published.count)

                let bad = try await relay.exec(
                    ["sh", "-c", #"echo "mysql --password=$PLANTED; unlock with $PLANTED" >&2; exit 3"#],
                    ports: [conductor.port], context: context, environment: environment)
                #expect(bad.status == .exited(3))
                // The command's own standard error is forwarded unchanged; no other line may contain the secret.
                #expect(bad.standardError.filter { $0.contains(Self.secret) }.count == 1, "\(bad.errorText)")
                #expect(bad.standardError.count > 1, "nothing was logged at this level")
                let error = try await conductor.notification(of: "dbaas.backup_create.error")
                #expect(error.message == "mysql --password=***; unlock with ***")
                #expect(error.exception.last == "CommandFailed: mysql --password=***; unlock with ***")
                #expect(!conductor.program.standardOutput.all.contains { $0.contains(Self.secret) })
            }
            #expect(!ends.errorText.contains(Self.secret))
        }
    }

    @Test("A context without notifications runs the command, and nothing is reported")
    func withoutNotification() async throws {
        let plain = try #require(try await self.contexts("--plain").first)
        try await RelayFixture.with { relay in
            let context = try self.write(plain["context"], relay)
            try await relay.withConductor { conductor in
                for (command, status) in [("echo done", 0), ("echo done; exit 5", 5)] as [(String, Int32)] {
                    let end = try await relay.exec(["sh", "-c", command], ports: [conductor.port], context: context)
                    #expect(end.status == .exited(status), "\(end.errorText)")
                    #expect(end.standardOutput == ["done"])
                    #expect(end.standardError.count == 1)
                    #expect(end.errorText.contains("\(context) requests no notification"))
                    #expect(!end.errorText.contains(Self.secret))
                }
                // The next command's outcome is the first to be reported.
                _ = try await relay.exec(["true"], ports: [conductor.port])
                _ = try await conductor.notification(of: "dbaas.database_create.end")
                #expect(try conductor.notifications().count == 1)
            }
        }
    }

    @Test(
        "A misspelt context and an unknown class end exec with 78, and the command is not run",
        arguments: [
            (#"{"operatoin": "user_create", "request_id": "r", "tenant_id": "t", "client_ip": "c"}"#, "operation"),
            (
                #"{"auth_token": null, "user_identity": "-", "request_id": "r", "project_id": "t","#
                    + #" "trove_notification": {"client_ip": "c", "notification_classname": "os.system"}}"#,
                "trove_notification.notification_classname"
            ),
        ])
    func invalidContext(_ text: String, _ field: String) async throws {
        try await RelayFixture.with { relay in
            let context = try relay.write(text, to: "context.json")
            let end = try await relay.exec(["touch", relay.path("ran")], ports: ["1"], context: context)
            #expect(end.status == .exited(78), "\(end.errorText)")
            #expect(end.standardError.count == 1)
            #expect(end.errorText.contains("--context: \(context) holds no context: \(field) "), "\(end.errorText)")
            #expect(!FileManager.default.fileExists(atPath: relay.path("ran")))
        }
    }

    @Test("An invalid redaction pattern ends both programs with 78 and is named")
    func invalidPattern() async throws {
        try await RelayFixture.with { relay in
            let conductorFile = try relay.conductorFile(more: "redaction: {patterns: [\"fine *\", \"no star\"]}")
            for command in ["serve", "check-config"] {
                let end = try await Program.conductor.run([command, "--config", conductorFile])
                #expect(end.status == .exited(78), "\(end.errorText)")
                #expect(
                    end.errorText
                        == "conductor: redaction.patterns: the pattern \"no star\" has no *; put one in the place of the secret."
                )
            }
            let (file, context) = (try relay.guestFile(ports: ["1"]), try relay.contextFile())
            let end = try await Program.guestAgent.run([
                "exec", "--config", file, "--context", context, "--set", "redaction.patterns=a * b *", "--", "touch",
                relay.path("ran"),
            ])
            #expect(end.status == .exited(78), "\(end.errorText)")
            #expect(
                end.errorText
                    == "guest-agent: redaction.patterns: the pattern \"a * b *\" has more than one *; use one.")
            #expect(!FileManager.default.fileExists(atPath: relay.path("ran")))
        }
    }
}
