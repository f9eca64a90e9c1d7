// SPDX-License-Identifier: Apache-2.0

import Foundation
import Subprocess
import Testing

@Suite("Settings files with secrets")
struct SettingsFileSecrecyTests {
    @Test("check-config and serve warn when other users may read or write a file with the password")
    func exposedPassword() async throws {
        try await RelayFixture.with { relay in
            let file = try relay.conductorFile(
                more: "messaging: {transport_url: \"rabbit://conductor:secret-word@127.0.0.1:1/\"}")
            for (mode, isExposed) in [(0o600, false), (0o644, true), (0o622, true)] {
                try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: file)
                let end = try await Program.conductor.run(["check-config", "--config", file])
                #expect(end.status == .exited(0), "\(end.errorText)")
                let hasWarning = end.errorText.contains(
                    "Other users may know a secret in the settings file (messaging.transport_url): \(file) has mode 0")
                #expect(hasWarning == isExposed, "\(mode): \(end.errorText)")
                #expect(!end.errorText.contains("secret-word"))
            }
            _ = try await Program.conductor.run(["serve", "--config", file]) { program in
                let line = try await program.standardError.line(containing: "Other users may know a secret")
                for name in ["setting=messaging.transport_url", "risk=", "remedy="] { #expect(line.contains(name)) }
                try program.send(.terminate)
            }
            // Without a password there is nothing to hide.
            let open = try relay.conductorFile(more: "messaging: {transport_url: \"rabbit://127.0.0.1:1/\"}")
            try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: open)
            let end = try await Program.conductor.run(["check-config", "--config", open])
            #expect(!end.errorText.contains("may know a secret"), "\(end.errorText)")
        }
    }
}
