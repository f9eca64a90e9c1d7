import Foundation
import Subprocess
import Testing

@Suite("guest-agent spool export")
struct SpoolExportTests {
    @Test("An export to a file that exists already fails, and leaves the file as it was")
    func existingFile() async throws {
        try await RelayFixture.with { relay in
            _ = try await relay.exec(["true"], ports: ["1"], drainTimeout: 0)
            let existing = try relay.write("precious\n", to: "keep.txt")
            let end = try await relay.guestAgent(["spool", "export", "--all", existing])
            #expect(end.status == .exited(73) && end.errorText.contains("exists already"), "\(end.errorText)")
            #expect(try String(contentsOfFile: existing, encoding: .utf8) == "precious\n")
        }
    }

    @Test("An export to a symbolic link fails, and leaves the link and its target as they were")
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

    @Test("An export that fails halfway removes the file that it made")
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
