import Foundation
import ProcessTesting
import Subprocess
import Testing

/// Spools that were copied with their machine, or put back from a snapshot.
@Suite("Copied spools", .timeLimit(.minutes(2)))
struct CopiedSpoolTests {
    @Test("An outcome in a spool that was copied with its guest's image is published once, as that guest's")
    func clonedGuest() async throws {
        try await RelayFixture.with { relay in
            let made = try await Program.conductor.run([
                "certificates", "guest", "guest-2", "--tenant", "tenant-1", "--directory", relay.path("tls"),
            ])
            try #require(made.status == .exited(0), "\(made.errorText)")
            let port = try ReservedPort()
            // A field that names no instance, so that either guest could report it.
            let context = try relay.contextFile(payload: #"{"dbname": "shop"}"#)
            let end = try await relay.exec(["true"], ports: [port.number], drainTimeout: 0.2, context: context)
            try #require(end.status == .exited(0), "\(end.errorText)")

            let copy = relay.path("copied-spools")
            try FileManager.default.copyItem(atPath: relay.spoolDirectory, toPath: copy)
            try await relay.withConductor { conductor in
                let original = try await relay.guestAgent(["flush"], ports: [conductor.port])
                #expect(original.standardOutput == ["1 delivered, 0 waiting, 0 set aside."], "\(original.errorText)")
                let settings = try String(contentsOfFile: relay.guestFile(ports: [conductor.port]), encoding: .utf8)
                    .replacing("guest-guest-1", with: "guest-guest-2").replacing(relay.spoolDirectory, with: copy)
                let file = try relay.write(settings, to: "guest-2.yaml")
                let cloned = try await Program.guestAgent.run(["flush", "--config", file])
                #expect(cloned.standardOutput.first?.hasPrefix("0 delivered") == true, "\(cloned.standardOutput)")
                #expect(cloned.errorText.contains("another guest"), "\(cloned.errorText)")
                #expect(try conductor.notifications().count == 1)
            }
        }
    }

    @Test("An operation that ended after its spool's snapshot was taken is not reported as interrupted")
    func restoredSnapshot() async throws {
        try await RelayFixture.with { relay in
            let snapshot = relay.path("snapshot")
            // Two conductors, so that the second remembers nothing of the first's.
            try await relay.withConductor { conductor in
                let wait = ["sh", "-c", "echo ready; read line"]
                let end = try await relay.exec(wait, ports: [conductor.port]) { agent in
                    try await agent.standardOutput.line(containing: "ready")
                    try FileManager.default.copyItem(atPath: relay.spoolDirectory, toPath: snapshot)
                    try await agent.write("go")
                }
                #expect(end.status == .exited(0), "\(end.errorText)")
                #expect(try conductor.notifications().count == 1)
            }
            try FileManager.default.removeItem(atPath: relay.spoolDirectory)
            try FileManager.default.copyItem(atPath: snapshot, toPath: relay.spoolDirectory)
            try await relay.withConductor { conductor in
                let end = try await relay.guestAgent(["flush"], ports: [conductor.port])
                #expect(end.standardOutput.first?.hasPrefix("0 delivered") == true, "\(end.standardOutput)")
                #expect(end.errorText.contains("is a copy, or was restored from one"), "\(end.errorText)")
                #expect(try conductor.notifications().isEmpty)
            }
        }
    }
}
