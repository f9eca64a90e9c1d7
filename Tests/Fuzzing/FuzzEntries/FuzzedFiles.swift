// SPDX-License-Identifier: Apache-2.0

import CatalogueFiles
import ConductorService
import Notifications
import RabbitMQ
import Settings

/// Reads files that operators write.
enum FuzzedFiles {
    private static let schema = SettingsSchema(
        environmentPrefix: "FUZZED",
        settings: [
            .string("listen.host", default: "0.0.0.0", help: "."),
            .integer("listen.port", 0...65535, default: 8790, help: "."),
            .secret("messaging.transport_url", redact: { _ in "***" }, help: "."),
            .boolean("messaging.durable", default: false, help: "."),
            .choice("log.level", among: ["debug", "info"], default: "info", help: "."),
            .strings("catalogue.files", help: "."),
            .strings("identity.permissions", help: "."),
            .seconds("drain_timeout", 0...3600, default: 20, help: "."),
        ])
    private static let settingsFile = ScratchFile("settings", extension: ".yaml")
    private static let catalogueFile = ScratchFile("catalogue", extension: ".yaml")

    static func settings(_ bytes: [UInt8]) -> String? {
        self.with(self.settingsFile, bytes) { path in
            let result = ThreadExecutor.wait { () -> Result<Settings, SettingsError> in
                do throws(SettingsError) {
                    return .success(
                        try await Settings.load(
                            schema: self.schema, file: path, environment: self.environment(in: bytes)))
                } catch {
                    return .failure(error)
                }
            }
            switch result {
            case .success(let settings): return settings.describe().isEmpty ? "settings that say nothing" : nil
            case .failure(let error): return self.problem(in: error.problems.map(\.message))
            }
        }
    }

    /// Returns the environment from the file's comments `#FUZZED_…=…`.
    private static func environment(in bytes: [UInt8]) -> [String: String] {
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n").filter { $0.hasPrefix("#FUZZED_") }
        let pairs = lines.map { $0.dropFirst().split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false) }
        return Dictionary(pairs.map { (String($0[0]), $0.count > 1 ? String($0[1]) : "") }) { $1 }
    }

    static func catalogue(_ bytes: [UInt8]) -> String? {
        self.with(self.catalogueFile, bytes) { path in
            do throws(CatalogueFileError) {
                _ = try Catalogue(file: path)
                return nil
            } catch {
                return self.problem(in: ["\(error)"])
            }
        }
    }

    static func transportURL(_ bytes: [UInt8]) -> String? {
        guard let text = String(validating: bytes, as: UTF8.self) else { return nil }
        // The host on which the conductor listens is one of these as well.
        if let host = try? ListenHost(text), host.bindings.isEmpty { return "a host that nothing stands for" }
        do throws(TransportURLError) {
            let url = try TransportURL(text)
            // An option's name may be percent-encoded.
            if !url.plaintextHosts.isEmpty, !text.contains("ssl"), !text.contains("%") {
                return "plaintext was accepted without its option"
            }
            return url.hosts.isEmpty ? "a URL without hosts" : nil
        } catch {
            return error.description.isEmpty ? "an error that says nothing" : nil
        }
    }

    private static func problem(in messages: [String]) -> String? {
        if messages.isEmpty || messages.contains("") { return "an error that says nothing" }
        return messages.contains { $0.utf8.count > 1 << 16 } ? "an error that is longer than who could read it" : nil
    }

    private static func with(_ file: ScratchFile, _ bytes: [UInt8], _ body: (String) -> String?) -> String? {
        do {
            return try file.with(bytes, body)
        } catch {
            return "the file could not be written: \(error)"
        }
    }
}
