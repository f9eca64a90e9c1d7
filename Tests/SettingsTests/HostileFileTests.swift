// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import Settings

@Suite("Malicious settings files", .timeLimit(.minutes(1)))
struct HostileFileTests {
    @Test(
        "Anchors, aliases, merge keys and tags are rejected",
        arguments: [
            "listen: &a\n  port: 1\n", "listen:\n  port: &a 1\n", "listen:\n  &a port: 1\n", "&a\nlisten: {port: 1}",
            "listen: {<<: {port: 1}}", "<<: {listen: {port: 1}}", "listen:\n  port: !!int 1\n",
            "listen: !x {port: 1}\n",
            "cluster: {hosts: [&a one, *a]}", "cluster: {hosts: !!set [a]}", "listen: {host: !!binary aGk=}",
            "&a listen: {host: x}\n", "listen: {!x port: 1}",
        ])
    func unsupported(_ yaml: String) async throws {
        let problems = try await SettingsFixture.problems(yaml)
        #expect(!problems.isEmpty)
        #expect(problems.allSatisfy { $0.code == .unsupportedYAML && $0.line != nil })
    }

    @Test("An undefined alias is rejected")
    func undefinedAlias() async throws {
        let problems = try await SettingsFixture.problems("listen: {port: *a}")
        #expect(problems.map(\.message) == ["file.yaml:1: the settings file is not valid YAML: found undefined alias."])
    }

    @Test(
        "Aliases of aliases are rejected before they are expanded",
        arguments: ["z: *l29", "? *l29\n: 1", "? [*l29, *l28]\n: 1"])
    func aliasBomb(_ last: String) async throws {
        let layers = (1..<30).map { "l\($0): &l\($0) [*l\($0 - 1), *l\($0 - 1)]" }
        let yaml = (["l0: &l0 [lol, lol]"] + layers + [last]).joined(separator: "\n")
        let problems = try await SettingsFixture.problems(yaml)
        #expect(problems.map(\.code) == [.unsupportedYAML])
        #expect(problems.map(\.line) == [10])
    }

    @Test("Asterisks in text and comments are not aliases")
    func stars() async throws {
        let comments = String(repeating: "# *** note *x [*y] ***\n", count: 40)
        let settings = try await SettingsFixture.load(comments + "listen: {host: '*'}\n")
        #expect(try settings.string("listen.host") == "*")
    }

    @Test("A file above the size limit is rejected, and one within it is read")
    func large() async throws {
        let limit = YAMLDocument.sizeLimit
        let full = "listen: {port: 5}\n" + String(repeating: "# padding\n", count: limit / 10 - 2)
        #expect(full.utf8.count <= limit)
        #expect(try await SettingsFixture.load(full).integer("listen.port") == 5)
        let problems = try await SettingsFixture.problems(full + String(repeating: "#", count: 40))
        #expect(problems.map(\.code) == [.unreadableFile])
    }

    @Test("Many unknown keys and deep nesting are handled without a crash")
    func manyAndDeep() async throws {
        let many = (0..<20_000).map { "key_\($0): 1" }.joined(separator: "\n")
        #expect(try await SettingsFixture.problems(many).count == 20_000)
        for depth in [900, 5_000, 400_000] {
            let flow = "listen: {host: " + String(repeating: "[", count: depth) + "\n"
            #expect(try await SettingsFixture.problems(flow).map(\.code) == [.notYAML])
        }
        let closed = "listen: {host: " + String(repeating: "[", count: 900) + String(repeating: "]", count: 900) + "}"
        #expect(try await SettingsFixture.problems(closed).map(\.code) == [.wrongShape])
        let blocks = (0..<1_200).map { String(repeating: " ", count: $0) + "a:" }.joined(separator: "\n")
        #expect(try await !SettingsFixture.problems(blocks).isEmpty)
    }

    @Test("Bytes that are not UTF-8 are rejected with their line")
    func notUTF8() async throws {
        let cases: [([UInt8], Int)] = [
            ([0xff], 1), (Array("listen:\n  host: Z".utf8) + [0xfc] + Array("rich\n".utf8), 2),
            (Array("# ü ü ü\n\n# é".utf8) + [0xc3], 3),
            (Array("a: 1\n".utf16.flatMap { [UInt8($0 & 0xff), 0] }) + [0xff], 2),
            (Array("# \n".utf8) + [0xed, 0xa0, 0x80], 2), (Array("\n\n".utf8) + [0xc0, 0x80], 3),
        ]
        for (bytes, line) in cases {
            let problems = try await SettingsFixture.problems(inFile: Data(bytes))
            #expect(problems.map(\.code) == [.notYAML])
            #expect(problems.map(\.line) == [line])
        }
    }

    @Test("Errors show no secret, wherever it was put by mistake")
    func noSecrets() async throws {
        let secret = "rabbit://user:hunter2@broker/"
        let files = [
            "\(secret): 1", "listen: {port: '\(secret)'}", "log: {level: '\(secret)'}",
            "transport: {url: ['\(secret)']}",
            "transport: {url: \(secret)\n", "transport:\n  url: hunter2\n bad\n", "transport: {url: &hunter2 x}",
            "transport: {url: *hunter2}", "transport: {url: !hunter2 x}", "hunter2@x: 1\nhunter2@x: 1\n",
            "transport: {url: \"\\q hunter2\"}", "transport: '\(secret)'", "hunter2!.port: 1",
            "transport: {url: \(secret)}\ntransport: {url: \(secret)}",
        ]
        for file in files {
            let problems = try await SettingsFixture.problems(file)
            #expect(!problems.isEmpty, "\(file)")
            #expect(!"\(problems)".contains("hunter2"), "\(file)")
        }
        let problems = try await SettingsFixture.problems(
            environment: ["CONDUCTOR_LISTEN_PORT": "hunter2", "CONDUCTOR_X hunter2": "1"],
            flags: [(name: "rpc.timeout", value: "hunter2"), (name: "hunter2@", value: "1")])
        #expect(problems.count == 4)
        #expect(!"\(problems)".contains("hunter2"))
    }
}
