import Foundation
import Glibc
import Subprocess
import Testing

/// With every limit a command runs and its outcome is kept, or it is said that it was not run. Nothing crashes, nothing waits without
/// end.
@Suite("guest-agent: limits of processes, addresses and descriptors", .timeLimit(.minutes(3)))
struct GuestAgentLimitsTests {
    /// Whether the command ran; whether `exec` says so is checked.
    private func runs(_ end: ProgramEnd, _ limit: String) -> Bool {
        let hasRun = end.standardOutput == ["ran"]
        #expect(end.status == .exited(hasRun ? 0 : 75), "\(limit): \(end.status) \(end.errorText)")
        #expect(end.errorText.contains("raise the limit") != hasRun, "\(limit): \(end.errorText)")
        #expect(end.errorText.contains("The command was not run.") != hasRun, "\(limit): \(end.errorText)")
        #expect(end.errorText.contains("NOT delivered") == hasRun, "\(limit): \(end.errorText)")
        return hasRun
    }

    private func exec(_ relay: RelayFixture, _ directory: String) throws -> [String] {
        [
            Program.guestAgent.path, "exec", "--config", try relay.guestFile(ports: ["1"], drainTimeout: 0), "--set",
            "spool.directory=\(directory)", "--context", try relay.contextFile(), "--", "echo", "ran",
        ]
    }

    @Test(
        "With every limit of processes the command runs, or exec says that it was not run", .enabled(if: geteuid() == 0)
    )
    func processes() async throws {
        try await RelayFixture.with { relay in
            for directory in [relay.directory.path, relay.path("tls")] { try #require(chmod(directory, 0o755) == 0) }
            var results: [Bool] = []
            // The probe asks for 19 to 26 threads, by the number of processors; and twice that for what ends late.
            for limit in 16...60 {
                // Root has no limit, and the limit is one of a user: each run has its own.
                let user = uid_t(1_000_000 + getpid() % 100_000 * 100 + Int32(limit))
                let directory = relay.path("spools-\(limit)")
                try #require(mkdir(directory, 0o700) == 0)
                for path in [directory, relay.path("tls/guest-guest-1.key")] {
                    try #require(chown(path, user, user) == 0)
                }
                let end = try await Program("setpriv").run(
                    ["--reuid=\(user)", "--regid=\(user)", "--clear-groups", "prlimit", "--nproc=\(limit)"]
                        + self.exec(relay, directory))
                results.append(self.runs(end, "\(limit) processes"))
            }
            #expect(results.first == false && results.last == true, "\(results)")
            #expect(results == results.sorted { !$0 && $1 }, "\(results)")
        }
    }

    @Test("With every limit of addresses the command runs, or exec says that it was not run")
    func addresses() async throws {
        try await RelayFixture.with { relay in
            var results: [Bool] = []
            for limit in stride(from: 256, through: 1024, by: 64) {
                let end = try await Program("prlimit").run(
                    ["--as=\(limit << 20)"] + self.exec(relay, relay.spoolDirectory))
                results.append(self.runs(end, "\(limit) MiB of addresses"))
            }
            #expect(results.first == false && results.last == true, "\(results)")
        }
    }

    @Test("Commands that could not begin for want of descriptors end with 71, which no timer takes for a success")
    func notTried() async throws {
        try await RelayFixture.with { relay in
            let file = try relay.guestFile(ports: ["1"])
            for command in [["flush"], ["status"], ["spool", "list"]] {
                let end = try await Program("prlimit").run(
                    ["--nofile=12", Program.guestAgent.path] + command + ["--config", file])
                #expect(end.status == .exited(71), "\(command): \(end.errorText)")
                #expect(end.errorText.contains("raise the limit") && end.standardOutput.isEmpty, "\(end.errorText)")
            }
            let unit = URL(filePath: #filePath).appending(path: "../../../deploy/systemd/guest-agent-flush.service")
                .standardizedFileURL
            let successes = try String(contentsOf: unit, encoding: .utf8).split(separator: "\n")
                .filter { $0.hasPrefix("SuccessExitStatus=") }
            #expect(successes == ["SuccessExitStatus=75"])
        }
    }
}
