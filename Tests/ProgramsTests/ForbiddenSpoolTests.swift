// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Subprocess
import Testing

@Suite("guest-agent without permission to read the spool")
struct ForbiddenSpoolTests {
    /// An unreadable spool is not a missing spool: every command reports it, and none prints that nothing is stored.
    @Test(
        "A spool that the user may not read is reported, not treated as missing",
        arguments: ["exec-1", "", ".."])
    func unreadableSpool(closed: String) async throws {
        try await RelayFixture.with { relay in
            _ = try await relay.exec(["true"], ports: ["1"], drainTimeout: 0)
            let file = try self.settingsFile(relay)
            let program = try Unprivileged.program(.guestAgent, in: relay)
            // The other user owns the keys but not the spool.
            let directory = URL(filePath: relay.spoolDirectory).appending(path: closed).standardizedFileURL.path
            try self.setModes(relay, closing: directory)
            defer { try? self.open(directory) }
            let unknown = "00000000-0000-4000-8000-000000000000"
            let commands = [
                ["status"], ["status", "--json"], ["flush", "--timeout", "1"], ["spool", "list"],
                ["spool", "retry", "--all"], ["spool", "show", unknown],
                ["spool", "export", "--all", FileManager.default.temporaryDirectory.appending(path: unknown).path],
            ]
            for command in commands {
                let end = try await program.run(
                    Unprivileged.arguments(.guestAgent, command + ["--config", file]))
                #expect(end.status != .exited(0) && end.status != .exited(65), "\(command): \(end.status)")
                #expect(end.errorText.contains("ermission denied"), "\(command): \(end.errorText)")
                #expect(
                    !end.standardOutput.contains {
                        $0.contains("no outcome was ever stored") || $0.hasSuffix("0 set aside.")
                    })
            }
        }
    }

    /// Writes settings outside of the closed directory, with keys that belong to the user that runs the program.
    private func settingsFile(_ relay: RelayFixture) throws -> String {
        let names = ["guest-guest-1.pem", "guest-guest-1.key", "ca.pem"]
        let directory = FileManager.default.temporaryDirectory.appending(path: "keys-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        for name in names {
            try FileManager.default.copyItem(
                atPath: relay.path("tls/\(name)"), toPath: directory.appending(path: name).path)
        }
        let text = try String(contentsOfFile: relay.guestFile(ports: ["1"]), encoding: .utf8)
            .replacing("\(relay.path("tls"))/", with: "\(directory.path)/")
        let file = directory.appending(path: "guest.yaml")
        try Data(text.utf8).write(to: file)
        if geteuid() == 0 {
            for name in names + ["guest.yaml", ""] {
                try #require(chown(directory.appending(path: name).path, 65_534, 65_534) == 0)
            }
        }
        return file.path
    }

    private func setModes(_ relay: RelayFixture, closing directory: String) throws {
        for open in [relay.directory.path, relay.spoolDirectory] where open != directory {
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: open)
        }
        // Closed to its owner too, if the tests run as the owner.
        try FileManager.default.setAttributes([.posixPermissions: geteuid() == 0 ? 0o700 : 0], ofItemAtPath: directory)
    }

    private func open(_ directory: String) throws {
        try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: directory)
    }
}
