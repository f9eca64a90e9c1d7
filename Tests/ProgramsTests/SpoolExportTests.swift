// SPDX-License-Identifier: Apache-2.0

import Foundation
import Subprocess
import Testing

@Suite("guest-agent spool export")
struct SpoolExportTests {
    @Test("An export to an existing file fails and leaves the file unchanged")
    func existingFile() async throws {
        try await RelayFixture.with { relay in
            _ = try await relay.exec(["true"], ports: ["1"], drainTimeout: 0)
            let existing = try relay.write("precious\n", to: "keep.txt")
            let end = try await relay.guestAgent(["spool", "export", "--all", existing])
            #expect(end.status == .exited(73) && end.errorText.contains("exists already"), "\(end.errorText)")
            #expect(try String(contentsOfFile: existing, encoding: .utf8) == "precious\n")
        }
    }

    @Test("An export to a symbolic link fails and leaves the link and its target unchanged")
    func symbolicLink() async throws {
        try await RelayFixture.with { relay in
            _ = try await relay.exec(["true"], ports: ["1"], drainTimeout: 0)
            let target = try relay.write("precious\n", to: "target.txt")
            for (name, destination) in [("link", target), ("dangling", relay.path("nothing")), ("null", "/dev/null")] {
                let link = relay.path(name)
                try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: destination)
                let end = try await relay.guestAgent(["spool", "export", "--all", link])
                #expect(end.status == .exited(73), "\(name): \(end.errorText)")
                #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link) == destination)
            }
            #expect(try String(contentsOfFile: target, encoding: .utf8) == "precious\n")
            #expect(!FileManager.default.fileExists(atPath: relay.path("nothing")))
        }
    }

    @Test("With umask 0, other users can read neither a spool nor an export")
    func permissiveUmask() async throws {
        try await RelayFixture.with { relay in
            let context = try relay.contextFile()
            let file = try relay.guestFile(ports: ["1"], drainTimeout: 0)
            let export = relay.path("out.jsonl")
            let end = try await Program("sh").run([
                "-c",
                """
                umask 0
                "$1" exec --config "$2" --context "$3" -- sh -c 'umask 077' && "$1" spool export --config "$2" --all "$4"
                """, "sh", Program.guestAgent.path, file, context, export,
            ])
            #expect(end.status == .exited(0), "\(end.errorText)")
            let names = try FileManager.default.contentsOfDirectory(atPath: "\(relay.spoolDirectory)/exec-1")
            #expect(names.contains("spool.sqlite") && names.contains("agent.lock"))
            for path in names.map({ "\(relay.spoolDirectory)/exec-1/\($0)" }) + [relay.spoolDirectory, export] {
                let attributes = try FileManager.default.attributesOfItem(atPath: path)
                let mode = try #require(attributes[.posixPermissions] as? Int)
                #expect(mode & 0o077 == 0, "\(path)")
            }
        }
    }

    @Test("An export that fails halfway removes the file that it created")
    func failedExport() async throws {
        try await RelayFixture.with { relay in
            _ = try await relay.exec(["true"], ports: ["1"], drainTimeout: 0)
            let damaged = relay.path("spools/exec-2")
            try FileManager.default.createDirectory(
                atPath: damaged, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
            _ = try relay.write(String(repeating: "no database ", count: 1000), to: "spools/exec-2/spool.sqlite")
            let file = relay.path("out.jsonl")
            let end = try await relay.guestAgent(["spool", "export", "--all", file])
            #expect(end.status == .exited(74), "\(end.errorText)")
            #expect(!FileManager.default.fileExists(atPath: file))
        }
    }
}
