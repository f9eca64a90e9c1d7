// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Subprocess
import Testing

/// Under every limit, a command runs and its outcome is stored, or `exec` prints that the command was not run. Nothing
/// crashes, and nothing waits without limit.
@Suite("guest-agent: limits of processes, addresses and descriptors", .timeLimit(.minutes(3)))
struct GuestAgentLimitsTests {
    /// Returns whether the command ran, and checks that `exec` prints the same.
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

    /// Runs `exec` as a user of the test's own, because the limit of processes applies to a user and not to root.
    ///
    /// - Parameter number: the test's number, below 2, because tests run at the same time.
    private func exec(
        _ relay: RelayFixture, processes limit: Int, test number: Int, under tracer: [String] = []
    ) async throws -> ProgramEnd {
        let user = uid_t(20_000 + getpid() % 200 * 200 + Int32(number * 100 + limit))
        let directory = relay.path("spools-\(limit)")
        try #require(mkdir(directory, 0o700) == 0)
        for path in [relay.directory.path, relay.path("tls")] { try #require(chmod(path, 0o755) == 0) }
        for path in [directory, relay.path("tls/guest-guest-1.key")] { try #require(chown(path, user, user) == 0) }
        let command =
            tracer
            + ["setpriv", "--reuid=\(user)", "--regid=\(user)", "--clear-groups", "prlimit", "--nproc=\(limit)"]
        return try await Program(command[0]).run(command.dropFirst() + self.exec(relay, directory))
    }

    @Test(
        "Under a range of process limits, the command runs or exec prints that it was not run",
        .enabled(if: geteuid() == 0))
    func processLimit() async throws {
        try await RelayFixture.with { relay in
            var results: [Bool] = []
            // The probe starts 19 to 26 threads, depending on the number of processors; twice that if threads end late.
            for limit in 16...60 {
                results.append(self.runs(try await self.exec(relay, processes: limit, test: 0), "\(limit) processes"))
            }
            #expect(results.first == false && results.last == true, "\(results)")
            #expect(results == results.sorted { !$0 && $1 }, "\(results)")
        }
    }

    @Test(
        "exec waits for probe threads that the kernel still counts after their end",
        .enabled(if: geteuid() == 0))
    func countedThreads() async throws {
        try await RelayFixture.with { relay in
            let tracer = try relay.write(Self.tracer, to: "tracer.py")
            var results: [Bool] = []
            for limit in 18...32 {
                let end = try await self.exec(relay, processes: limit, test: 1, under: ["python3", tracer])
                results.append(self.runs(end, "\(limit) processes"))
            }
            #expect(results.first == false && results.last == true, "\(results)")
        }
    }

    /// A Python script that traces a program and reaps its threads late, so that the kernel counts them for a tenth of
    /// a second after their end.
    private static let tracer = #"""
        # Runs a program under a tracer that reaps ended threads late, so the kernel counts them for a while after their end.
        import ctypes, os, sys, time

        libc = ctypes.CDLL(None, use_errno=True)
        libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        trace_me, resume, set_options, all_children = 0, 7, 0x4200, 0x40000000
        follow = 2 | 4 | 8 | 1 << 20  # fork, vfork, clone, and none outlives its tracer
        main = os.fork()
        if main == 0:
            libc.ptrace(trace_me, 0, None, None)
            os.kill(os.getpid(), 19)
            os.execvp(sys.argv[1], sys.argv[1:])
        os.waitpid(main, 0)
        libc.ptrace(set_options, main, None, follow)
        libc.ptrace(resume, main, None, None)
        known, ended = {main}, {}
        while known:
            for task in list(known):
                try:
                    found = os.waitid(os.P_PID, task, os.WEXITED | os.WSTOPPED | os.WNOHANG | os.WNOWAIT | all_children)
                except ChildProcessError:
                    known.discard(task)
                    continue
                if found is None:
                    continue
                if found.si_code in (os.CLD_EXITED, os.CLD_KILLED, os.CLD_DUMPED):
                    if task == main or time.monotonic() - ended.setdefault(task, time.monotonic()) > 0.1:
                        status = os.waitpid(task, all_children)[1]
                        known.discard(task)
                        if task == main:
                            sys.exit(os.waitstatus_to_exitcode(status) % 256)
                    continue
                status = os.waitpid(task, all_children)[1]
                signal, event = os.WSTOPSIG(status), status >> 16
                if event:
                    child = ctypes.c_ulong()
                    libc.ptrace(0x4201, task, None, ctypes.byref(child))
                    known.add(child.value)
                # Signals of the tracer and not of the program: the stop at an exec, and that of a new task.
                own = 0 if event or signal in (5, 19) else signal
                libc.ptrace(resume, task, None, own)
            time.sleep(0.0005)

        """#

    @Test("Under a range of address limits, the command runs or exec prints that it was not run")
    func addressSpaceLimit() async throws {
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

    @Test("Commands without enough descriptors end with 71, which systemd does not count as success")
    func tooFewDescriptors() async throws {
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
