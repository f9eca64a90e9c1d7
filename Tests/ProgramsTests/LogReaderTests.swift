// SPDX-License-Identifier: Apache-2.0

import Foundation
import Subprocess
import SystemPackage
import Testing

/// A `log` driver that cannot write: the log names the cause, and the guests' errors name the driver.
@Suite("Log driver with a failing output", .timeLimit(.minutes(2)))
struct LogReaderTests {
    /// Why standard output cannot be written.
    enum Failure: String, CaseIterable {
        case fullDisk = "No space left on device"
        case closedPipe = "Broken pipe"

        func output() throws -> FileDescriptor {
            switch self {
            case .fullDisk: return try .open("/dev/full", .writeOnly)
            case .closedPipe:
                let (reading, writing) = try FileDescriptor.pipe()
                try reading.close()
                return writing
            }
        }
    }

    @Test(
        "The conductor logs why its log driver cannot write, and the guest's error names the driver",
        arguments: Failure.allCases)
    func failure(_ failure: Failure) async throws {
        try await RelayFixture.with { relay in
            let config = try relay.conductorFile()
            let output = try failure.output()
            let end = try await Program.conductor.run(["serve", "--config", config], standardOutput: output) {
                program in
                let conductor = try await relay.listening(program)
                let guest = try await relay.exec(["true"], ports: [conductor.port], drainTimeout: 10)
                #expect(
                    guest.errorText.contains("The conductor's log driver cannot write the notification"),
                    "\(guest.errorText)")
                #expect(!guest.errorText.contains("broker has not confirmed"))
                let line = try await program.standardError.line(containing: "standard output")
                #expect(line.contains(failure.rawValue) && line.contains("error"), "\(line)")
                try program.send(.terminate)
            }
            #expect(end.status == .exited(0), "\(end.errorText)")
            // Each attempt of the guest fails, but only the first is logged.
            #expect(end.standardError.count { $0.contains("Failed to write notifications") } == 1)
        }
    }

    @Test("notify prints why its line cannot be written")
    func notifyFullDisk() async throws {
        let quota = #"{"resource": "volumes", "in_use": 3, "reserved": 0, "limit": 10, "updated": null}"#
        let full = try FileDescriptor.open("/dev/full", .writeOnly)
        let end = try await Program.conductor.run(
            [
                "notify", "dbaas.quotas", "--payload", "-", "--set", "drivers=log", "--set",
                "messaging.publish_timeout=1",
            ], standardOutput: full
        ) { program in try await program.write(quota) }
        #expect(end.status == .exited(69))
        #expect(
            end.errorText.contains("standard output cannot be written to: No space left on device"), "\(end.errorText)")
        #expect(!end.errorText.contains("NSCocoa"))
    }
}
