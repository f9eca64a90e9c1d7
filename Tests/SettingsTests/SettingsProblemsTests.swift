// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Settings

@Suite("Errors in the environment, on the command line, and in several sources")
struct SettingsProblemsTests {
    @Test("A malformed variable is rejected by name, even if a flag overrides it")
    func malformedVariable() async throws {
        let problems = try await SettingsFixture.problems(
            environment: ["CONDUCTOR_LISTEN_PORT": "abc"], flags: [(name: "listen.port", value: "1")])
        #expect(
            problems.map(\.message) == [
                "listen.port, set by the environment variable CONDUCTOR_LISTEN_PORT, must be a whole number from 1 to 65535."
            ])
        #expect(problems.map(\.code) == [.malformedValue])
    }

    @Test(
        "Malformed texts are rejected",
        arguments: [
            ("LISTEN_PORT", " 1"), ("LISTEN_PORT", "+1"), ("LISTEN_PORT", "-"), ("LISTEN_PORT", ""),
            ("LISTEN_PORT", "١"),
            ("TLS_REQUIRED", "on"), ("TLS_REQUIRED", ""), ("RPC_TIMEOUT", "inf"), ("RPC_TIMEOUT", "0x1p3"),
            ("RPC_TIMEOUT", "-1"), ("RPC_TIMEOUT", "1e400"), ("CLUSTER_HOSTS", "a,,b"), ("CLUSTER_HOSTS", ""),
            ("CLUSTER_HOSTS", "a, "),
            ("LISTEN_HOST", ""), ("LOG_LEVEL", "INFO"), ("NOTIFY_DRIVERS", "messaging;messagingv2"),
        ])
    func refusedTexts(_ name: String, _ text: String) async throws {
        let problems = try await SettingsFixture.problems(environment: ["CONDUCTOR_\(name)": text])
        #expect(problems.count == 1)
        #expect(problems.first?.message.contains("CONDUCTOR_\(name), must be ") == true)
    }

    @Test("An unknown variable with the program's prefix is rejected; other variables are ignored")
    func unknownVariables() async throws {
        let problems = try await SettingsFixture.problems(
            environment: [
                "CONDUCTOR_LISTEN_PROT": "1", "CONDUCTOR_TEST_BROKER": "x", "CONDUCTOR_HOME": "x",
                "CONDUCTOR_HOMES": "x",
                "CONDUCTORS": "x", "GUEST_AGENT_X": "x", "PATH": "x", "conductor_listen_port": "x",
            ])
        #expect(
            problems.map(\.message) == [
                "The environment variable CONDUCTOR_HOMES sets no setting; unset or correct it.",
                "The environment variable CONDUCTOR_LISTEN_PROT sets no setting; unset or correct it "
                    + "(did you mean CONDUCTOR_LISTEN_PORT?).",
            ])
    }

    @Test("Flags are rejected if they are malformed, unknown or given twice")
    func flags() async throws {
        let problems = try await SettingsFixture.problems(
            flags: [
                (name: "listen.port", value: "0"), (name: "listen.prot", value: "1"), (name: "rpc.timeout", value: "1"),
                (name: "rpc.timeout", value: "2"),
            ])
        #expect(
            problems.map(\.message) == [
                "listen.port, set by the flag --set listen.port, must be a whole number from 1 to 65535, but is outside of it.",
                "The command line sets listen.prot, which is no setting; correct it (did you mean listen.port?).",
                "The flag --set rpc.timeout is given more than once; give it once.",
            ])
        #expect(problems.map(\.code) == [.valueOutOfRange, .unknownName, .duplicateName])
    }

    @Test("The error for a missing setting names every way to set it")
    func missing() async throws {
        let problems = try await SettingsFixture.problems("conductor:\n  port: 1\n", schema: SettingsFixture.required)
        #expect(
            problems.map(\.message) == [
                "conductor.host is required and has no value; set it in the file, by the environment variable "
                    + "GUEST_AGENT_CONDUCTOR_HOST or by the flag --set conductor.host=TEXT."
            ])
        #expect(problems.map(\.code) == [.missingValue])
        let settings = try await SettingsFixture.load(
            environment: ["GUEST_AGENT_CONDUCTOR_HOST": "h", "GUEST_AGENT_CONDUCTOR_PORT": "1"],
            schema: SettingsFixture.required)
        #expect(try settings.string("conductor.host") == "h")
    }

    /// The hint is a flag that can be given once the word in capitals is replaced.
    @Test(
        "The hint for a missing setting is a flag with a valid value",
        arguments: [
            (Setting.string("a.b", required: true, valueName: "FILE", help: ""), "--set a.b=FILE", "x.pem"),
            (.string("a.b", required: true, help: ""), "--set a.b=TEXT", "x"),
            (.strings("a.b", required: true, valueName: "HOST:PORT", help: ""), "--set a.b=HOST:PORT", "h:1"),
            (.integer("a.b", 1...9, required: true, help: ""), "--set a.b=NUMBER", "3"),
            (.seconds("a.b", 1...9, required: true, help: ""), "--set a.b=SECONDS", "3"),
            (.boolean("a.b", required: true, help: ""), "--set a.b=true", "true"),
            (.choice("a.b", among: ["one", "two"], required: true, help: ""), "--set a.b=one", "one"),
            (
                .choices("a.b", among: ["one", "two"], required: true, valueName: "two", help: ""), "--set a.b=two",
                "two"
            ),
        ])
    func hints(_ setting: Setting, _ flag: String, _ value: String) async throws {
        let schema = SettingsSchema(environmentPrefix: "CONDUCTOR", settings: [setting])
        let problems = try await SettingsFixture.problems(schema: schema)
        #expect(problems.map(\.message).allSatisfy { $0.hasSuffix(" or by the flag \(flag).") }, "\(problems)")
        let overrides = try SettingOverrides(["a.b=\(value)"]).values
        #expect(try await SettingsFixture.problems(flags: overrides, schema: schema).isEmpty)
        // A command that requires fewer settings has the same hints.
        let less = schema.requiring(only: ["a.b"])
        #expect(try await SettingsFixture.problems(schema: less) == problems)
    }

    @Test("A secret on the command line is rejected, because every user can read it")
    func secretFlag() async throws {
        for (name, value) in [
            ("transport.url", "rabbit://u:hunter2@h/"), ("transport.url", "x"), ("transport.token", "hunter2"),
        ] {
            let problems = try await SettingsFixture.problems(flags: [(name: name, value: value)])
            let variable = "CONDUCTOR_" + name.replacing(".", with: "_").uppercased()
            #expect(
                problems.map(\.message) == [
                    "\(name) is a secret, and every user of this machine can read a command line; set it in the file or by "
                        + "the environment variable \(variable)."
                ])
            #expect(problems.map(\.code) == [.secretOnCommandLine])
        }
        let schema = SettingsSchema(
            environmentPrefix: "CONDUCTOR", settings: [.secret("a.b", required: true, help: "")])
        let missing = try await SettingsFixture.problems(schema: schema)
        #expect(missing.first?.message.contains("--set") == false)
    }

    @Test("All problems are reported together, in order")
    func together() async throws {
        let file = """
            listen:
              prot: 1
              port: abc
            tls: [a]
            rpc: {timeout: 0}
            """
        let problems = try await SettingsFixture.problems(
            file, environment: ["CONDUCTOR_LOG_LEVEL": "loud"], flags: [(name: "tls.required", value: "maybe")])
        #expect(
            problems.map(\.code) == [
                .unknownName, .malformedValue, .wrongShape, .valueOutOfRange, .malformedValue, .malformedValue,
            ])
        #expect(problems.map(\.line) == [2, 3, 4, 5, nil, nil])
        let error = try #require(problems.first.map { SettingsError($0, problems.dropFirst()) })
        #expect(error.description.split(separator: "\n").count == 6)
        #expect(error.code == .unknownName)
    }

    @Test("A malformed setting, or any in an unreadable file, is not also reported as missing")
    func noFalseMissing() async throws {
        let malformed = try await SettingsFixture.problems(
            "conductor: {host: a, port: x}", schema: SettingsFixture.required)
        #expect(malformed.map(\.code) == [.malformedValue])
        let unread = try await SettingsFixture.problems(
            "conductor: [", environment: ["GUEST_AGENT_CONDUCTOR_PROT": "1"], schema: SettingsFixture.required)
        #expect(unread.map(\.code) == [.notYAML, .unknownName])
    }

    @Test("A command that requires fewer settings still accepts all of them")
    func requiringLess() async throws {
        let schema = SettingsFixture.required.requiring(only: ["conductor.port"])
        #expect(schema.defects().isEmpty)
        let problems = try await SettingsFixture.problems(schema: schema)
        #expect(problems.map(\.setting) == ["conductor.port"])
        let settings = try await SettingsFixture.load(
            flags: [(name: "conductor.port", value: "1"), (name: "conductor.host", value: "h")], schema: schema)
        #expect(try settings.string("conductor.host") == "h")
    }
}
