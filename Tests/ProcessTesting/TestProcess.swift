// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import NIOConcurrencyHelpers

/// A program that a test runs and communicates with, such as `openssl` as a peer of another project.
///
/// A thread of its own reads its output and waits for its end. (With Foundation's Process the tests hung in two runs of
/// two after the child had ended; which part of it hangs is unknown.)
package final class TestProcess: Sendable {
    private struct State {
        var output = ""
        /// Nil once the process has been waited for: then another process may have the number.
        var pid: pid_t?
        var input: Int32?
    }

    private let state: NIOLockedValueBox<State>
    private let changes: AsyncStream<Void>

    /// Starts the program, looked up in `PATH`; its standard error goes where its standard output goes.
    package init(_ program: String, _ arguments: [String]) throws {
        let (inputRead, inputWrite) = try Self.pipe()
        let (outputRead, outputWrite) = try Self.pipe()
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, inputRead, 0)
        posix_spawn_file_actions_adddup2(&actions, outputWrite, 1)
        posix_spawn_file_actions_adddup2(&actions, outputWrite, 2)
        // The thread that runs this may belong to Dispatch and have all signals blocked; the program must not inherit
        // that.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var argv = ([program] + arguments).map { strdup($0) } + [nil]
        defer { for argument in argv { free(argument) } }
        var pid: pid_t = 0
        let result = posix_spawnp(&pid, program, &actions, &attributes, &argv, environ)
        close(inputRead)
        close(outputWrite)
        guard result == 0 else {
            close(inputWrite)
            close(outputRead)
            throw TestProcessError()
        }
        let child = pid
        let state = NIOLockedValueBox(State(pid: child, input: inputWrite))
        let (changes, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        self.state = state
        self.changes = changes
        Thread.detachNewThread {
            var chunk = [UInt8](repeating: 0, count: 65_536)
            while true {
                let count = read(outputRead, &chunk, chunk.count)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { break }
                let text = String(decoding: chunk[..<count], as: UTF8.self)
                state.withLockedValue { $0.output += text }
                continuation.yield()
            }
            close(outputRead)
            // Not reaped yet, so that its number stays its own until it is removed from the state and cannot be
            // signalled any more.
            var info = siginfo_t()
            while waitid(P_PID, id_t(child), &info, WEXITED | WNOWAIT) != 0, errno == EINTR {}
            state.withLockedValue { $0.pid = nil }
            waitpid(child, nil, 0)
            continuation.finish()
        }
    }

    package func send(_ text: String) throws {
        let bytes = Array(text.utf8)
        let written = self.state.withLockedValue { $0.input.map { write($0, bytes, bytes.count) } }
        guard written == bytes.count else { throw TestProcessError() }
    }

    package func closeInput() {
        self.state.withLockedValue { state in
            if let input = state.input { close(input) }
            state.input = nil
        }
    }

    /// Returns all output once it contains `text` this many times, or when the process ends.
    package func outputUntil(_ text: String, times: Int = 1) async -> String {
        var changes = self.changes.makeAsyncIterator()
        while true {
            let output = self.state.withLockedValue { $0.output }
            if output.ranges(of: text).count >= times { return output }
            guard await changes.next() != nil else { return self.state.withLockedValue { $0.output } }
        }
    }

    /// Waits for the process to end by itself, and returns all its output.
    package func outputUntilExit() async -> String {
        for await _ in self.changes {}
        return self.state.withLockedValue { $0.output }
    }

    /// Ends the process if it has not ended by itself.
    package func finish() async {
        self.closeInput()
        self.state.withLockedValue { state in
            if let pid = state.pid { _ = kill(pid, SIGTERM) }
        }
        _ = await self.outputUntilExit()
    }

    /// Creates a pair of sockets, because no other child can inherit them (pipe2 is not visible here).
    private static func pipe() throws -> (read: Int32, write: Int32) {
        var descriptors: [Int32] = [0, 0]
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, type, 0, &descriptors) == 0 else { throw TestProcessError() }
        return (descriptors[0], descriptors[1])
    }
}

/// A system call that failed.
struct TestProcessError: Error {
    /// The error number.
    let number = errno
}
