import Foundation
import Glibc
import NIOConcurrencyHelpers

@testable import TLSSocket

/// The `openssl` program as a peer that somebody else has written.
///
/// A thread of its own reads what it prints and waits for its end. (With Foundation's Process the tests hung in
/// two runs of two after the child had ended; which part of it hangs was not found out.)
final class OpenSSLProcess: Sendable {
    private struct State {
        var output = ""
        /// Nil once the process has been waited for: the number may be somebody else's then.
        var pid: pid_t?
        var input: Int32?
    }

    private let state: NIOLockedValueBox<State>
    private let changes: AsyncStream<Void>

    /// Standard error goes where standard output goes.
    init(_ arguments: [String]) throws {
        let (inputRead, inputWrite) = try Self.pipe()
        let (outputRead, outputWrite) = try Self.pipe()
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, inputRead, 0)
        posix_spawn_file_actions_adddup2(&actions, outputWrite, 1)
        posix_spawn_file_actions_adddup2(&actions, outputWrite, 2)
        var argv = (["openssl"] + arguments).map { strdup($0) } + [nil]
        defer { for argument in argv { free(argument) } }
        var pid: pid_t = 0
        let result = posix_spawnp(&pid, "openssl", &actions, nil, &argv, environ)
        close(inputRead)
        close(outputWrite)
        guard result == 0 else {
            close(inputWrite)
            close(outputRead)
            throw Unexpected()
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
            // Not reaped yet, so that its number stays its own until nobody can signal it any more.
            var info = siginfo_t()
            while waitid(P_PID, id_t(child), &info, WEXITED | WNOWAIT) != 0, errno == EINTR {}
            state.withLockedValue { $0.pid = nil }
            waitpid(child, nil, 0)
            continuation.finish()
        }
    }

    func send(_ text: String) throws {
        let bytes = Array(text.utf8)
        let written = self.state.withLockedValue { $0.input.map { write($0, bytes, bytes.count) } }
        guard written == bytes.count else { throw Unexpected() }
    }

    func closeInput() {
        self.state.withLockedValue { state in
            if let input = state.input { close(input) }
            state.input = nil
        }
    }

    /// All that has been printed, once that contains `text`; or all there is, when the process ends without.
    func outputUntil(_ text: String) async -> String {
        var changes = self.changes.makeAsyncIterator()
        while true {
            let output = self.state.withLockedValue { $0.output }
            if output.contains(text) { return output }
            guard await changes.next() != nil else { return self.state.withLockedValue { $0.output } }
        }
    }

    /// Waits for the process to end by itself, and tells everything that it has printed.
    func outputUntilExit() async -> String {
        for await _ in self.changes {}
        return self.state.withLockedValue { $0.output }
    }

    /// Ends the process if it has not ended by itself.
    func finish() async {
        self.closeInput()
        self.state.withLockedValue { state in
            if let pid = state.pid { _ = kill(pid, SIGTERM) }
        }
        _ = await self.outputUntilExit()
    }

    /// A pair of sockets, because they can be made so that no other child inherits them (pipe2 is not visible here).
    private static func pipe() throws -> (read: Int32, write: Int32) {
        var descriptors: [Int32] = [0, 0]
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, type, 0, &descriptors) == 0 else { throw Unexpected() }
        return (descriptors[0], descriptors[1])
    }
}

/// Certificates as files for the `openssl` program, in a directory of their own.
final class IdentityFiles {
    let directory: URL

    init(_ identities: TestIdentities) throws {
        self.directory = FileManager.default.temporaryDirectory.appendingPathComponent("tls-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: self.directory, withIntermediateDirectories: true)
        try self.write("ca.pem", identities.authority.certificatePEM)
        try self.write("server", identities.server)
        try self.write("client", identities.client)
    }

    deinit {
        try? FileManager.default.removeItem(at: self.directory)
    }

    func path(_ name: String) -> String {
        self.directory.appendingPathComponent(name).path
    }

    func write(_ name: String, _ identity: IssuedCertificate) throws {
        try self.write("\(name).pem", identity.certificatePEM)
        try self.write("\(name).key", identity.privateKeyPEM)
    }

    private func write(_ name: String, _ text: String) throws {
        try Data(text.utf8).write(to: self.directory.appendingPathComponent(name))
    }
}
