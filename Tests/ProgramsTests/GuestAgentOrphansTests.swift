// SPDX-License-Identifier: Apache-2.0

import Foundation
import Subprocess
import Testing

@Suite("guest-agent exec: cleanup", .timeLimit(.minutes(2)))
struct GuestAgentOrphansTests {
    /// A Python script that adopts the processes that a program leaves behind, as a container's first process does, and
    /// prints their number.
    private static let adopter = #"""
        # Runs a program, adopts its orphans as a container's first process does, and prints their number.
        import ctypes, os, sys

        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
        program = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
        left = 0
        while True:
            try:
                process, status = os.wait()
            except ChildProcessError:
                break
            left += process != program
        print("left", left)

        """#

    @Test("exec leaves no process behind, whether the command was run or not")
    func noProcessLeft() async throws {
        try await RelayFixture.with { relay in
            let adopter = try relay.write(Self.adopter, to: "adopter.py")
            let context = try relay.contextFile()
            for file in [try relay.guestFile(ports: ["1"], drainTimeout: 0.1), relay.path("missing.yaml")] {
                let end = try await Program("python3").run([
                    adopter, Program.guestAgent.path, "exec", "--config", file, "--context", context, "--", "true",
                ])
                #expect(end.status == .exited(0) && end.standardOutput == ["left 0"], "\(end.errorText)")
            }
        }
    }
}
