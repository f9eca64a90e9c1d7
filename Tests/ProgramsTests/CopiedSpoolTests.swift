// SPDX-License-Identifier: Apache-2.0

import Foundation
import ProcessTesting
import SecureFiles
import Subprocess
import Testing

/// Spools that were copied with their machine, or restored from a snapshot.
@Suite("Copied spools", .timeLimit(.minutes(2)))
struct CopiedSpoolTests {
    /// Waits until a new file gets another creation time than a spool's file: the clock of a file system ticks rarely.
    private func waitForClockTick(after path: String, _ relay: RelayFixture) throws {
        let slot = try CheckedDirectory(path, for: .reading)
        let made = try #require(slot.creationTime(of: "spool.sqlite"), "the file system has no creation times")
        let directory = try CheckedDirectory(relay.path("."), for: .reading)
        repeat {
            try? FileManager.default.removeItem(atPath: relay.path("tick"))
            _ = try relay.write("", to: "tick")
        } while directory.creationTime(of: "tick") == made
    }

    @Test("An outcome in a spool copied to another guest is published once, by the original guest")
    func clonedGuest() async throws {
        try await RelayFixture.with { relay in
            let made = try await Program.conductor.run([
                "certificates", "guest", "guest-2", "--tenant", "tenant-1", "--directory", relay.path("tls"),
            ])
            try #require(made.status == .exited(0), "\(made.errorText)")
            let port = try ReservedPort()
            // A context that names no instance, so that either guest could report it.
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

    @Test("A waiting outcome is printed as set aside once the certificate names another guest")
    func claimedWhileWaiting() async throws {
        try await RelayFixture.with { relay in
            let made = try await Program.conductor.run([
                "certificates", "guest", "guest-2", "--tenant", "tenant-1", "--directory", relay.path("tls"),
            ])
            try #require(made.status == .exited(0), "\(made.errorText)")
            let port = try ReservedPort()
            let end = try await relay.exec(["true"], ports: [port.number], drainTimeout: 60) { agent in
                try await agent.standardError.line(containing: "Waiting for a conductor")
                for ending in ["key", "pem"] {
                    let other = try Data(contentsOf: URL(filePath: relay.path("tls/guest-guest-2.\(ending)")))
                    try other.write(to: URL(filePath: relay.path("tls/guest-guest-1.\(ending)")))
                }
                try await agent.standardError.line(containing: "Set aside the outcomes of another guest")
                try agent.send(.terminate)
            }
            #expect(end.status == .exited(0), "\(end.errorText)")
            let last = try #require(end.standardError.last)
            #expect(last.contains("NOT delivered, and no flush delivers it: it is set aside in"), "\(end.errorText)")
            #expect(last.contains("belongs to another guest, guest-1"), "\(last)")
        }
    }

    @Test("An operation that ended after its spool's snapshot is not reported as interrupted")
    func restoredSnapshot() async throws {
        try await RelayFixture.with { relay in
            let snapshot = relay.path("snapshot")
            // Two conductors, because the second must not remember the outcomes of the first.
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
            try self.waitForClockTick(after: relay.spoolDirectory + "/exec-1", relay)
            try FileManager.default.removeItem(atPath: relay.spoolDirectory)
            try FileManager.default.copyItem(atPath: snapshot, toPath: relay.spoolDirectory)
            try await relay.withConductor { conductor in
                let end = try await relay.guestAgent(["flush"], ports: [conductor.port])
                #expect(end.standardOutput == ["0 delivered, 0 waiting, 1 set aside."], "\(end.errorText)")
                #expect(end.errorText.contains("is a copy, or was restored from one"), "\(end.errorText)")
                // An operator who retries all outcomes has not checked each; one who names an outcome has.
                let all = try await relay.guestAgent(["spool", "retry", "--all"], ports: [conductor.port])
                #expect(
                    all.standardOutput == [
                        """
                        0 outcomes put back. 1 outcome of a copied spool skipped: the operation may have been reported \
                        elsewhere. To report one that was not, name it: `guest-agent spool retry MESSAGE_ID`.
                        """
                    ], "\(all.errorText)")
                _ = try await relay.guestAgent(["flush"], ports: [conductor.port])
                #expect(try conductor.notifications().isEmpty)
                let list = try await relay.guestAgent(["spool", "list"], ports: [conductor.port])
                let id = try #require(list.standardOutput.first?.split(separator: " ").first.map(String.init))
                let named = try await relay.guestAgent(["spool", "retry", id], ports: [conductor.port])
                #expect(named.standardOutput == ["1 outcome put back."], "\(named.errorText)")
                let last = try await relay.guestAgent(["flush"], ports: [conductor.port])
                #expect(last.standardOutput == ["1 delivered, 0 waiting, 0 set aside."], "\(last.errorText)")
            }
        }
    }
}
