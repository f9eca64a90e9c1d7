// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Settings

@Suite("Precedence and description of settings")
struct SettingsPrecedenceTests {
    @Test("Without any source, settings have their defaults")
    func defaults() async throws {
        let settings = try await SettingsFixture.load()
        #expect(try settings.string("listen.host") == "0.0.0.0")
        #expect(try settings.integer("listen.port") == 8790)
        #expect(try settings.boolean("tls.required"))
        #expect(try settings.strings("cluster.hosts") == [])
        #expect(try settings.seconds("rpc.timeout") == 30)
        #expect(try settings.duration("rpc.timeout") == .seconds(30))
        #expect(try settings.string("log.level") == "info")
        #expect(try settings.strings("notify.drivers") == ["messagingv2"])
        #expect(try settings.optionalString("tls.guest_ca") == nil)
    }

    @Test("A flag wins over the environment, the environment over the file, the file over the default")
    func precedence() async throws {
        let file = "listen:\n  port: 1\n"
        let environment = ["CONDUCTOR_LISTEN_PORT": "2"]
        let flags = [(name: "listen.port", value: "3")]
        #expect(try await SettingsFixture.load(file).integer("listen.port") == 1)
        #expect(try await SettingsFixture.load(file, environment: environment).integer("listen.port") == 2)
        #expect(
            try await SettingsFixture.load(file, environment: environment, flags: flags).integer("listen.port") == 3)
        #expect(try await SettingsFixture.load(file, flags: flags).integer("listen.port") == 3)
        #expect(try await SettingsFixture.load(environment: environment).integer("listen.port") == 2)
    }

    @Test("Every kind of setting can be set by file and environment, and all but secrets by flag")
    func everyKind() async throws {
        let file = """
            # all kinds
            listen: {host: "::1", port: 99}
            tls:
              guest_ca: ca.pem
              required: no
            cluster:
              hosts: [one, "two:5672"]
            rpc: { timeout: 0.5 }
            log:
              level: error
            notify:
              drivers:
              - messaging
              - messagingv2
            transport:
              url: rabbit://user:pw@broker/
            """
        let environment = [
            "CONDUCTOR_LISTEN_HOST": "::1", "CONDUCTOR_LISTEN_PORT": "99", "CONDUCTOR_TLS_GUEST_CA": "ca.pem",
            "CONDUCTOR_TLS_REQUIRED": "False", "CONDUCTOR_CLUSTER_HOSTS": "one, two:5672",
            "CONDUCTOR_RPC_TIMEOUT": "5e-1",
            "CONDUCTOR_LOG_LEVEL": "error", "CONDUCTOR_NOTIFY_DRIVERS": "messaging,messagingv2",
            "CONDUCTOR_TRANSPORT_URL": "rabbit://user:pw@broker/",
        ]
        let flags = [
            (name: "listen.host", value: "::1"), (name: "listen.port", value: "99"),
            (name: "tls.guest_ca", value: "ca.pem"),
            (name: "tls.required", value: "0"), (name: "cluster.hosts", value: "one"),
            (name: "cluster.hosts", value: "two:5672"), (name: "rpc.timeout", value: ".5"),
            (name: "log.level", value: "error"), (name: "notify.drivers", value: "messaging,messagingv2"),
        ]
        let loaded = [
            try await SettingsFixture.load(file), try await SettingsFixture.load(environment: environment),
            // A flag cannot set a secret.
            try await SettingsFixture.load(
                environment: ["CONDUCTOR_TRANSPORT_URL": "rabbit://user:pw@broker/"], flags: flags),
        ]
        for settings in loaded {
            #expect(try settings.string("listen.host") == "::1")
            #expect(try settings.integer("listen.port") == 99)
            #expect(try settings.optionalString("tls.guest_ca") == "ca.pem")
            #expect(try !settings.boolean("tls.required"))
            #expect(try settings.strings("cluster.hosts") == ["one", "two:5672"])
            #expect(try settings.seconds("rpc.timeout") == 0.5)
            #expect(try settings.string("log.level") == "error")
            #expect(try settings.strings("notify.drivers") == ["messaging", "messagingv2"])
            #expect(try settings.string("transport.url") == "rabbit://user:pw@broker/")
        }
    }

    @Test("The description names each value's source and no secret")
    func description() async throws {
        let file = """
            listen:
              port: 1
            transport:
              url: rabbit://user:hunter2@broker:5672/trove
              token: hunter3
            """
        let settings = try await SettingsFixture.load(
            file, environment: ["CONDUCTOR_CLUSTER_HOSTS": "one,the other"],
            flags: [(name: "tls.guest_ca", value: "ca")])
        let lines = settings.describe().split(separator: "\n").map { line in
            line.replacing(/# .*\//, with: "# ")
        }
        #expect(
            lines == [
                "listen.host     = 0.0.0.0    # default",
                "listen.port     = 1    # file.yaml:2",
                "tls.guest_ca    = ca    # flag --set tls.guest_ca",
                "tls.required    = true    # default",
                "cluster.hosts   = [one, \"the other\"]    # environment CONDUCTOR_CLUSTER_HOSTS",
                "rpc.timeout     = 30    # default",
                "log.level       = info    # default",
                "notify.drivers  = [messagingv2]    # default",
                "transport.url   = rabbit://user:***@broker:5672/trove    # file.yaml:4",
                "transport.token = ***    # file.yaml:5",
            ])
        let derived = settings.defaulting("rpc.timeout", to: .seconds(1), because: "x").defaulting(
            "transport.token", to: .string("y"), because: "x")
        #expect(derived.describe() == settings.describe())
        let filled = try await SettingsFixture.load().defaulting(
            "tls.guest_ca", to: .string("own.pem"), because: "tls.required is true")
        #expect(filled.describe().contains("tls.guest_ca    = own.pem    # default, tls.required is true\n"))
        #expect(try filled.string("tls.guest_ca") == "own.pem")
        let unset = try await SettingsFixture.load()
        #expect(unset.describe().contains("tls.guest_ca    =    # not set\n"))
    }

    @Test("A getter of another kind, of an unknown name or of no value throws")
    func wrongGetters() async throws {
        let settings = try await SettingsFixture.load()
        func code(_ body: () throws(SettingsError) -> Void) -> SettingsError.Code? {
            do throws(SettingsError) { try body() } catch { return error.code }
            return nil
        }
        #expect(code { () throws(SettingsError) in _ = try settings.string("listen.port") } == .wrongGetter)
        #expect(code { () throws(SettingsError) in _ = try settings.integer("listen.host") } == .wrongGetter)
        #expect(code { () throws(SettingsError) in _ = try settings.boolean("listen.host") } == .wrongGetter)
        #expect(code { () throws(SettingsError) in _ = try settings.strings("listen.host") } == .wrongGetter)
        #expect(code { () throws(SettingsError) in _ = try settings.seconds("listen.port") } == .wrongGetter)
        #expect(code { () throws(SettingsError) in _ = try settings.string("listen.nothing") } == .wrongGetter)
        #expect(code { () throws(SettingsError) in _ = try settings.string("tls.guest_ca") } == .missingValue)
    }

    @Test("The documentation has a row for each setting")
    func documentation() {
        let rows = SettingsFixture.schema.documentation().split(separator: "\n")
        #expect(rows.count == 2 + SettingsFixture.schema.settings.count)
        #expect(
            rows[3]
                == "| `listen.port` | `CONDUCTOR_LISTEN_PORT` | a whole number from 1 to 65535 | `8790` | "
                + "TCP port guests connect to. |")
        #expect(
            rows.last
                == "| `transport.token` | `CONDUCTOR_TRANSPORT_TOKEN` | a text that is not empty | not set | The broker's token. Secret. |"
        )
        #expect(SettingsFixture.required.documentation().contains("| required |"))
    }

    @Test("A schema reports its own defects")
    func defects() {
        #expect(SettingsFixture.schema.defects() == [])
        #expect(SettingsFixture.required.defects() == [])
        let bad = SettingsSchema(
            environmentPrefix: "X",
            settings: [
                .string("a.b_c", help: ""), .string("a_b.c", help: ""), .string("Listen-Port", help: ""),
                .integer("port", 1...2, default: 3, help: ""), .string("a", help: ""),
                .choice("level", among: ["x"], default: "y", help: ""),
                .boolean("needed", default: true, required: true, help: ""), .string("..", help: ""),
            ])
        #expect(bad.defects().count == 7)
    }
}
