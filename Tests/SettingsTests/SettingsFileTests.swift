// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import Settings

@Suite("Settings file contents")
struct SettingsFileTests {
    struct RejectedFile: CustomTestStringConvertible {
        var yaml: String
        var code: SettingsError.Code
        var line: Int?
        var message: String
        var testDescription: String { String(yaml.prefix(40)).debugDescription }
    }

    static let refused: [RejectedFile] = [
        .init(
            yaml: "listen:\n  prot: 1\n", code: .unknownName, line: 2,
            message: "file.yaml:2: listen.prot is no setting; remove or correct it (did you mean listen.port?)."),
        .init(
            yaml: "port: 1\n", code: .unknownName, line: 1,
            message: "file.yaml:1: port is no setting; remove or correct it (did you mean listen.port?)."),
        .init(
            yaml: "lisen:\n  port: 1\n", code: .unknownName, line: 1,
            message: "file.yaml:1: lisen is no setting; remove or correct it (did you mean listen?)."),
        .init(
            yaml: "something_else: 1", code: .unknownName, line: 1,
            message: "file.yaml:1: something_else is no setting; remove or correct it."),
        .init(
            yaml: "listen.port: 8790", code: .wrongShape, line: 1,
            message: "file.yaml:1: listen.port is written with dots; write it nested, as in listen: { port: … }."),
        .init(
            yaml: "listen:\n\n  port: abc\n", code: .malformedValue, line: 3,
            message: "file.yaml:3: listen.port must be a whole number from 1 to 65535."),
        .init(
            yaml: "listen: {port: 70000}", code: .valueOutOfRange, line: 1,
            message: "file.yaml:1: listen.port must be a whole number from 1 to 65535, but is outside of it."),
        .init(
            yaml: "listen: {port: 0}", code: .valueOutOfRange, line: 1,
            message: "file.yaml:1: listen.port must be a whole number from 1 to 65535, but is outside of it."),
        .init(
            yaml: "listen: {port: 0x10}", code: .malformedValue, line: 1,
            message: "file.yaml:1: listen.port must be a whole number from 1 to 65535."),
        .init(
            yaml: "listen: {port: 0100}", code: .malformedValue, line: 1,
            message: "file.yaml:1: listen.port must be a whole number from 1 to 65535."),
        .init(
            yaml: "listen: {port: 22:30}", code: .malformedValue, line: 1,
            message: "file.yaml:1: listen.port must be a whole number from 1 to 65535."),
        .init(
            yaml: "listen: {port: 99999999999999999999}", code: .malformedValue, line: 1,
            message: "file.yaml:1: listen.port must be a whole number from 1 to 65535."),
        .init(
            yaml: "listen: {port: 1.5}", code: .malformedValue, line: 1,
            message: "file.yaml:1: listen.port must be a whole number from 1 to 65535."),
        .init(
            yaml: "listen:\n  host:\n  - a\n", code: .wrongShape, line: 2,
            message: "file.yaml:2: listen.host must be a text that is not empty, not a list."),
        .init(
            yaml: "listen: {host: {a: b}}", code: .wrongShape, line: 1,
            message: "file.yaml:1: listen.host must be a text that is not empty, not a section."),
        .init(
            yaml: "listen: {host: ''}", code: .malformedValue, line: 1,
            message: "file.yaml:1: listen.host must be a text that is not empty, but is empty."),
        .init(
            yaml: "listen:\n  host:\n", code: .wrongShape, line: 2,
            message: "file.yaml:2: listen.host has no value; give it one or remove the line."),
        .init(
            yaml: "listen: 8790", code: .wrongShape, line: 1,
            message: "file.yaml:1: listen is a section; put its settings under it, indented."),
        .init(
            yaml: "cluster: {hosts: one}", code: .wrongShape, line: 1,
            message: "file.yaml:1: cluster.hosts must be a list of texts that are not empty, "
                + "written as [a, b] or as lines that start with \"- \", not a single value."),
        .init(
            yaml: "cluster:\n  hosts:\n  - a\n  - [b]\n", code: .wrongShape, line: 4,
            message: "file.yaml:4: cluster.hosts has an item that is not a text; correct or remove it."),
        .init(
            yaml: "cluster: {hosts: [a, '']}", code: .malformedValue, line: 1,
            message: "file.yaml:1: cluster.hosts must be a list of texts that are not empty, but has an empty item."),
        .init(
            yaml: "tls: {required: maybe}", code: .malformedValue, line: 1,
            message: "file.yaml:1: tls.required must be true or false."),
        .init(
            yaml: "rpc: {timeout: .nan}", code: .malformedValue, line: 1,
            message: "file.yaml:1: rpc.timeout must be a number of seconds from 0.1 to 3600."),
        .init(
            yaml: "rpc: {timeout: 1e9}", code: .valueOutOfRange, line: 1,
            message: "file.yaml:1: rpc.timeout must be a number of seconds from 0.1 to 3600, but is outside of it."),
        .init(
            yaml: "rpc: {timeout: 30s}", code: .malformedValue, line: 1,
            message: "file.yaml:1: rpc.timeout must be a number of seconds from 0.1 to 3600."),
        .init(
            yaml: "log: {level: warnign}", code: .malformedValue, line: 1,
            message: "file.yaml:1: log.level must be one of debug, info, warning, error (did you mean warning?)."),
        .init(
            yaml: "notify: {drivers: [log]}", code: .malformedValue, line: 1,
            message: "file.yaml:1: notify.drivers must be a list of values among messaging, messagingv2."),
        .init(
            yaml: "listen:\n  port: 1\nlisten:\n  port: 2\n", code: .duplicateName, line: 1,
            message: "file.yaml:1: listen appears more than once in the same section; keep one."),
        .init(
            yaml: "- a\n- b\n", code: .notYAML, line: 1,
            message:
                "file.yaml:1: the settings file must hold sections and settings, such as \"listen:\", at the top level."
        ),
        .init(
            yaml: "# a word\n\nhello\n", code: .notYAML, line: 3,
            message:
                "file.yaml:3: the settings file must hold sections and settings, such as \"listen:\", at the top level."
        ),
        .init(
            yaml: "listen: {port: 1\nrpc: [", code: .notYAML, line: 2,
            message: "file.yaml:2: the settings file is not valid YAML: did not find expected ',' or '}'."),
        .init(
            yaml: "listen:\n\tport: 1\n", code: .notYAML, line: 2,
            message: "file.yaml:2: the settings file is not valid YAML: found character that cannot start any token."),
        .init(
            yaml: "listen: {port: 1}\n---\nlisten: {port: 2}\n", code: .notYAML, line: 2,
            message: "file.yaml:2: the settings file is not valid YAML: but found another document."),
        .init(
            yaml: "listen:\n  port: 1\u{0}2\n", code: .notYAML, line: 2,
            message: "file.yaml:2: the settings file is not valid YAML: control characters are not allowed."),
        .init(
            yaml: "? [a, b]\n: 1\n", code: .wrongShape, line: 1,
            message: "file.yaml:1: The top level has a key that is not a name; give a setting's name."),
    ]

    @Test("Each mistake is rejected with its line and what to do", arguments: refused)
    func refuses(_ refused: RejectedFile) async throws {
        let problems = try await SettingsFixture.problems(refused.yaml)
        #expect(problems.map(\.code) == [refused.code])
        #expect(problems.map(\.line) == [refused.line])
        #expect(problems.map(\.message) == [refused.message])
    }

    @Test(
        "A file that sets nothing is accepted",
        arguments: ["", "\n", "# nothing\n", "---\n", "~", "{}", "listen:\n", "listen: {}\n", "\u{FEFF}# marked\n"])
    func setsNothing(_ yaml: String) async throws {
        #expect(try await SettingsFixture.load(yaml).integer("listen.port") == 8790)
    }

    @Test("Text is read as written, not as YAML's types, and a quoted number is a number")
    func textAsWritten() async throws {
        let settings = try await SettingsFixture.load(
            "listen: {host: 010, port: \"12\"}\ncluster: {hosts: [yes, 1.10, \"a,b\", ' padded ']}\r\ntls: {guest_ca: 'null'}"
        )
        #expect(try settings.string("listen.host") == "010")
        #expect(try settings.integer("listen.port") == 12)
        #expect(try settings.strings("cluster.hosts") == ["yes", "1.10", "a,b", " padded "])
        #expect(try settings.string("tls.guest_ca") == "null")
    }

    @Test("A list may be empty")
    func emptyList() async throws {
        #expect(try await SettingsFixture.load("notify: {drivers: []}").strings("notify.drivers") == [])
    }

    @Test("A missing file, a directory and a device are rejected")
    func unreadable() async throws {
        try await SettingsFixture.withFolder { folder in
            let cases = [
                (folder.appending(path: "none.yaml").path, "does not exist; create it or give another path."),
                (folder.path, "is a directory; give the path of a file."),
                ("/dev/null", "is not a regular file; give the path of a file."),
            ]
            for (path, words) in cases {
                let error = await #expect(throws: SettingsError.self) {
                    try await Settings.load(schema: SettingsFixture.schema, file: path, environment: [:])
                }
                #expect(error?.problems.map(\.code) == [.unreadableFile])
                #expect(error?.description == "The settings file \(path) \(words)")
            }
        }
    }

    @Test("A link to a file is followed")
    func link() async throws {
        try await SettingsFixture.withFolder { folder in
            let (file, link) = (folder.appending(path: "a.yaml"), folder.appending(path: "b.yaml"))
            try Data("listen: {port: 7}".utf8).write(to: file)
            try FileManager.default.createSymbolicLink(at: link, withDestinationURL: file)
            let settings = try await Settings.load(schema: SettingsFixture.schema, file: link.path, environment: [:])
            #expect(try settings.integer("listen.port") == 7)
        }
    }
}
