// SPDX-License-Identifier: Apache-2.0

import Foundation
import Subprocess
import Testing

@Suite("conductor: invalid settings", .timeLimit(.minutes(2)))
struct ConductorConfigurationTests {
    /// Runs `serve` or another command, which must end with this code, and returns its one sentence.
    private func sentence(
        _ file: String, _ set: [String] = [], command: String = "serve", code: Int32 = 78,
        environment: [String: String] = [:]
    ) async throws -> String {
        let end = try await Program.conductor.run(
            [command, "--config", file] + set.flatMap { ["--set", $0] }, environment: environment)
        #expect(end.status == .exited(code))
        #expect(end.standardError.count == 1, "\(end.errorText)")
        #expect(end.errorText.hasPrefix("conductor: "))
        #expect(end.errorText.hasSuffix("."))
        #expect(!end.errorText.contains("hunter2"))
        return String(end.errorText.dropFirst("conductor: ".count))
    }

    @Test("A missing settings file is named")
    func missingFile() async throws {
        try await RelayFixture.with { relay in
            let path = relay.path("none.yaml")
            let sentence = try await self.sentence(path)
            #expect(sentence.hasPrefix("The settings file \(path) does not exist"))
        }
    }

    @Test("A settings file that the user may not read is named")
    func forbiddenFile() async throws {
        try await RelayFixture.with { relay in
            let file = try relay.conductorFile()
            try FileManager.default.setAttributes([.posixPermissions: 0], ofItemAtPath: file)
            let end = try await Unprivileged.program(Program.conductor, in: relay).run(
                Unprivileged.arguments(Program.conductor, ["check-config", "--config", file]))
            #expect(end.status == .exited(78), "\(end.errorText)")
            #expect(
                end.errorText
                    == "conductor: The settings file \(file) may not be read by this user; change its owner or mode.")
        }
    }

    @Test("An unknown key and a malformed value are named with their line")
    func problemLines() async throws {
        try await RelayFixture.with { relay in
            let unknown = try relay.conductorFile(more: "listne: {port: 1}")
            let line = try String(contentsOfFile: unknown, encoding: .utf8).split(
                separator: "\n", omittingEmptySubsequences: false
            ).firstIndex { $0.hasPrefix("listne") }.map { $0 + 1 }
            let sentence = try await self.sentence(unknown)
            #expect(sentence.contains("\(unknown):\(try #require(line))") && sentence.contains("listne"))

            let malformed = try relay.write(
                String(contentsOfFile: try relay.conductorFile(), encoding: .utf8).replacing(
                    "port: 0", with: "port: x"),
                to: "malformed.yaml")
            let other = try await self.sentence(malformed)
            #expect(other.contains("\(malformed):1") && other.contains("listen.port"))
        }
    }

    @Test("A missing required setting is named", arguments: ["key", "certificate", "guest_ca"])
    func missingValue(_ key: String) async throws {
        try await RelayFixture.with { relay in
            let text = try String(contentsOfFile: try relay.conductorFile(), encoding: .utf8)
            let file = try relay.write(
                text.split(separator: "\n").filter { !$0.hasPrefix("  \(key):") }.joined(separator: "\n"), to: "a.yaml")
            let sentence = try await self.sentence(file)
            #expect(sentence.contains("tls.\(key)"))
        }
    }

    @Test("A port in use is named by its setting")
    func portInUse() async throws {
        try await RelayFixture.with { relay in
            try await relay.withConductor { conductor in
                let file = try relay.conductorFile()
                let end = try await Program.conductor.run([
                    "serve", "--config", file, "--set", "listen.port=\(conductor.port)",
                ])
                #expect(end.status == .exited(78))
                #expect(end.standardError.last?.contains("listen.port \(conductor.port)") == true, "\(end.errorText)")
                #expect(end.standardError.filter { $0.hasPrefix("conductor: ") }.count == 1)
            }
        }
    }

    @Test("An unusable certificate or key file is named by its setting", arguments: ["serve", "check-config"])
    func unusableFiles(_ command: String) async throws {
        try await RelayFixture.with { relay in
            let file = try relay.conductorFile()
            for setting in ["tls.key", "tls.certificate", "tls.guest_ca"] {
                let missing = relay.path("missing.pem")
                let sentence = try await self.sentence(file, ["\(setting)=\(missing)"], command: command, code: 75)
                #expect(sentence.hasPrefix("\(setting): ") && sentence.contains("\(missing)) does not exist"))
                // Even the superuser cannot read a directory as a file.
                let unreadable = try await self.sentence(
                    file, ["\(setting)=\(relay.directory.path)"], command: command, code: 75)
                #expect(unreadable.hasPrefix("\(setting): ") && unreadable.contains("cannot be read"))
            }
            let mismatch = try await self.sentence(
                file, ["tls.key=\(relay.path("tls/ca.key"))"], command: command, code: 75)
            #expect(mismatch.hasPrefix("tls.key, tls.certificate: ") && mismatch.contains("does not belong"))
        }
    }

    @Test("A key file that the user may not read is named by its setting")
    func forbiddenKey() async throws {
        try await RelayFixture.with { relay in
            let key = relay.path("tls/conductor.key")
            try FileManager.default.setAttributes([.posixPermissions: 0], ofItemAtPath: key)
            let file = try relay.conductorFile()
            let end = try await Unprivileged.program(Program.conductor, in: relay).run(
                Unprivileged.arguments(Program.conductor, ["serve", "--config", file]))
            #expect(end.status == .exited(75), "\(end.errorText)")
            #expect(end.errorText.contains("tls.key: ") && end.errorText.contains("Permission denied"))
        }
    }

    @Test(
        "An invalid transport URL is named by its setting, and its password is not shown",
        arguments: [
            "rabbit://user:hunter2@127.0.0.1:99999/", "kafka://user:hunter2@localhost/", "hunter2",
            "rabbit://user:hunter2@host:5672/?ssl=maybe", "rabbit://user:hunter2@192.0.2.10/",
            "rabbit://127.0.0.1,user:hunter2@broker.example/", "rabbit://user:hunter2@*/",
        ])
    func invalidTransportURL(_ url: String) async throws {
        try await RelayFixture.with { relay in
            let file = try relay.conductorFile(drivers: "messagingv2")
            for command in ["serve", "check-config"] {
                let sentence = try await self.sentence(
                    file, command: command, environment: ["CONDUCTOR_MESSAGING_TRANSPORT_URL": url])
                #expect(sentence.hasPrefix("messaging.transport_url: "))
                #expect(sentence.split(separator: "messaging.transport_url").count == 1, "\(sentence)")
            }
        }
    }

    @Test("Limits that contradict each other are named")
    func conflictingLimits() async throws {
        try await RelayFixture.with { relay in
            for command in ["serve", "check-config"] {
                let sentence = try await self.sentence(
                    try relay.conductorFile(), ["limits.buffered_input=1048576", "limits.line_bytes=1048577"],
                    command: command)
                #expect(sentence.hasPrefix("limits.buffered_input is 1048576, "))
                #expect(sentence.contains("limits.line_bytes"))
            }
        }
    }

    @Test("A messaging driver without a transport URL is rejected, and the missing setting is named")
    func missingTransportURL() async throws {
        try await RelayFixture.with { relay in
            let sentence = try await self.sentence(try relay.conductorFile(drivers: "messaging"))
            #expect(sentence.hasPrefix("messaging.transport_url is not set: "))
        }
    }

    @Test("check-config prints the effective values and hides secrets")
    func checkConfig() async throws {
        try await RelayFixture.with { relay in
            let file = try relay.conductorFile(
                drivers: "messagingv2",
                more: #"messaging: {transport_url: "rabbit://user:hunter2@10.0.0.1:5673/?ssl=0"}"#)
            let end = try await Program.conductor.run(
                ["check-config", "--config", file, "--set", "limits.window=7"],
                environment: ["CONDUCTOR_MESSAGING_TOPIC": "events"])
            #expect(end.status == .exited(0))
            #expect(end.standardError.allSatisfy { $0.hasPrefix("conductor: warning: ") }, "\(end.errorText)")
            for (setting, value, origin) in [
                ("listen.host", "127.0.0.1", "\(file):1"), ("messaging.exchange", "trove", "default"),
                ("messaging.topic", "events", "CONDUCTOR_MESSAGING_TOPIC"), ("limits.window", "7", "--set"),
                ("messaging.transport_url", "rabbit://user:***@10.0.0.1:5673/?ssl=0", file),
                ("identity.require_tenant", "true", "default, identity.source is spiffe"),
            ] {
                let line = end.standardOutput.first { $0.hasPrefix("\(setting) ") }
                #expect(line?.contains("= \(value)  ") == true && line?.contains(origin) == true, "\(line ?? setting)")
            }
            #expect(!end.standardOutput.joined().contains("hunter2") && !end.errorText.contains("hunter2"))
        }
    }
}
