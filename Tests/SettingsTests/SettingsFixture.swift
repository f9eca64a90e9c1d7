// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import Settings

/// A schema with every kind, and shorter ways to load it.
enum SettingsFixture {
    static let schema = SettingsSchema(
        environmentPrefix: "CONDUCTOR",
        settings: [
            .string("listen.host", default: "0.0.0.0", help: "Address to listen on."),
            .integer("listen.port", 1...65535, default: 8790, help: "TCP port guests connect to."),
            .string("tls.guest_ca", help: "CA of the guests."),
            .boolean("tls.required", default: true, help: "Refuse guests without TLS."),
            .strings("cluster.hosts", default: [], help: "Other conductors."),
            .seconds("rpc.timeout", 0.1...3600, default: 30, help: "Patience with a guest."),
            .choice("log.level", among: ["debug", "info", "warning", "error"], default: "info", help: "What to log."),
            .choices(
                "notify.drivers", among: ["messaging", "messagingv2"], default: ["messagingv2"], help: "Formats."),
            .secret("transport.url", redact: { $0.replacing("hunter2", with: "***") }, help: "The broker."),
            .secret("transport.token", help: "The broker's token."),
        ],
        ignoredEnvironment: ["CONDUCTOR_TEST_", "CONDUCTOR_HOME"])

    static let required = SettingsSchema(
        environmentPrefix: "GUEST_AGENT",
        settings: [
            .string("conductor.host", required: true, help: "Where the conductor is."),
            .integer("conductor.port", 1...65535, required: true, help: "Its port."),
        ])

    /// Loads settings from a file with the text.
    static func load(
        _ yaml: String? = nil, environment: [String: String] = [:], flags: [(name: String, value: String)] = [],
        schema: SettingsSchema = schema
    ) async throws -> Settings {
        guard let yaml else {
            return try await Settings.load(schema: schema, file: nil, environment: environment, overrides: flags)
        }
        return try await withFile(Data(yaml.utf8)) { path in
            try await Settings.load(schema: schema, file: path, environment: environment, overrides: flags)
        }
    }

    /// Loads and returns the problems, with the file's path shortened to `file.yaml`.
    static func problems(
        _ yaml: String? = nil, environment: [String: String] = [:], flags: [(name: String, value: String)] = [],
        schema: SettingsSchema = schema
    ) async throws -> [SettingsError.Problem] {
        try await problems(inFile: yaml.map { Data($0.utf8) }, environment: environment, flags: flags, schema: schema)
    }

    static func problems(
        inFile bytes: Data?, environment: [String: String] = [:], flags: [(name: String, value: String)] = [],
        schema: SettingsSchema = schema
    ) async throws -> [SettingsError.Problem] {
        func check(_ path: String?) async -> [SettingsError.Problem] {
            do throws(SettingsError) {
                _ = try await Settings.load(schema: schema, file: path, environment: environment, overrides: flags)
                return []
            } catch {
                guard let path else { return error.problems }
                return error.problems.map {
                    .init($0.code, setting: $0.setting, line: $0.line, $0.message.replacing(path, with: "file.yaml"))
                }
            }
        }
        guard let bytes else { return await check(nil) }
        return try await withFile(bytes) { await check($0) }
    }

    /// Runs the body with a new directory.
    static func withFolder<Result>(_ body: (URL) async throws -> Result) async throws -> Result {
        let folder = FileManager.default.temporaryDirectory.appending(path: "settings-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        return try await body(folder)
    }

    private static func withFile<Result>(_ bytes: Data, _ body: (String) async throws -> Result) async throws -> Result
    {
        try await withFolder { folder in
            let file = folder.appending(path: "file.yaml")
            try bytes.write(to: file)
            return try await body(file.path)
        }
    }
}
