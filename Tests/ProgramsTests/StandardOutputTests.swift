// SPDX-License-Identifier: Apache-2.0

import Foundation
import Subprocess
import Testing

/// The output of a program reaches its file, or the exit status shows that it did not.
@Suite("Standard output", .timeLimit(.minutes(2)))
struct StandardOutputTests {
    /// Runs the program under a shell, which gives it closed or unwritable streams.
    private func run(_ program: Program, _ arguments: String, _ streams: String) async throws -> ProgramEnd {
        try await Program("/bin/sh").run(["-c", "exec \"$0\" \(arguments) \(streams)", program.path])
    }

    @Test(
        "settings, help and version end with status 1 if their output cannot be written",
        arguments: [">/dev/full", ">&-"])
    func unwritableOutput(_ streams: String) async throws {
        for (program, name) in [(Program.conductor, "conductor"), (.guestAgent, "guest-agent")] {
            for arguments in ["settings", "--help", "--version", "settings --help", ""] {
                let end = try await self.run(program, arguments, streams)
                #expect(end.status == .exited(1), "\(name) \(arguments)")
                #expect(end.standardError.count == 1)
                #expect(end.errorText.hasPrefix("\(name): Standard output cannot be written to ("), "\(end.errorText)")
            }
        }
    }

    @Test("check-config ends with status 1 if its output cannot be written")
    func checkConfig() async throws {
        try await RelayFixture.with { relay in
            let config = try relay.conductorFile()
            let well = try await Program.conductor.run(["check-config", "--config", config])
            #expect(well.status == .exited(0), "\(well.errorText)")
            for streams in [">/dev/full", ">&-"] {
                let end = try await self.run(.conductor, "check-config --config \(config)", streams)
                #expect(end.status == .exited(1))
                #expect(end.errorText.contains("Standard output cannot be written to ("), "\(end.errorText)")
            }
        }
    }

    @Test("certificates guest ends with status 1 if its output cannot be written")
    func certificatesGuest() async throws {
        try await RelayFixture.with { relay in
            let end = try await self.run(
                .conductor, "certificates guest guest-2 --directory \(relay.path("tls"))", ">/dev/full")
            #expect(end.status == .exited(1))
            #expect(end.errorText.contains("Standard output cannot be written to (No space left on device)"))
        }
    }

    @Test("A reader that closes the pipe early causes no error message")
    func closedReader() async throws {
        let end = try await Program("/bin/bash").run([
            "-c", "\"$0\" settings | true; echo ${PIPESTATUS[0]}", Program.conductor.path,
        ])
        // The table fits into a pipe, so it may have been written before the reader closed the pipe.
        #expect(["0", "141"].contains(end.standardOutput.first))
        #expect(end.standardError.isEmpty)
    }

    @Test("The program waits for a full non-blocking pipe and does not fail")
    func nonBlockingPipe() async throws {
        // Python makes the pipe non-blocking, as a terminal multiplexer or another event loop may leave it. The output
        // of events --markdown is larger than the pipe.
        let script = """
            import fcntl, os, subprocess, sys
            r, w = os.pipe()
            fcntl.fcntl(w, 1031, 4096)  # F_SETPIPE_SZ
            os.set_blocking(w, False)
            child = subprocess.Popen([sys.argv[1], "events", "--markdown"], stdout=w)
            os.close(w)
            count = 0
            while True:
                chunk = os.read(r, 4096)
                if not chunk: break
                count += len(chunk)
            print(child.wait(), count > 20000)
            """
        let end = try await Program("python3").run(["-c", script, Program.conductor.path])
        #expect(end.standardOutput == ["0 True"], "\(end.errorText)")
    }

    @Test("Each line of an error begins with the program's name")
    func errorPrefixes() async throws {
        let end = try await Program.conductor.run(["serve", "--set", "listne.port=1", "--set", "no.such=1"])
        #expect(end.status == .exited(78))
        #expect(end.standardError.count > 1)
        #expect(end.standardError.allSatisfy { $0.hasPrefix("conductor: ") }, "\(end.errorText)")
        let guest = try await Program.guestAgent.run([
            "status", "--set", "deliver.window=1", "--set", "no.such=1",
        ])
        #expect(guest.status == .exited(78))
        #expect(guest.standardError.count > 1)
        #expect(guest.standardError.allSatisfy { $0.hasPrefix("guest-agent: ") }, "\(guest.errorText)")
    }
}
