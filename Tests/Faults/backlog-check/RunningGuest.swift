// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestAgent
import Subprocess
import SystemPackage

/// A guest that the check has started.
struct RunningGuest {
    /// Its process id.
    let process: Int32
    private var lines: AsyncThrowingStream<String, any Error>.Iterator
    private let killer: @Sendable () throws -> Void

    /// Returns the next line that the guest prints.
    ///
    /// - Throws: an error if the guest has ended instead.
    mutating func next() async throws -> GuestLine {
        while let text = try await self.lines.next() {
            if let line = GuestLine(text) { return line }
        }
        throw CheckError("A guest ended before its time; see guest.log.")
    }

    /// Returns the next ledger that the guest prints, and passes progress before it to `made`.
    mutating func counts(made: (Int) throws -> Void = { _ in }) async throws -> OutboxCounts {
        while true {
            switch try await self.next() {
            case .opened: continue
            case .made(let count): try made(count)
            case .counts(let counts): return counts
            }
        }
    }

    /// Kills it with SIGKILL.
    func kill() throws { try self.killer() }

    /// Runs this program as a guest. Its standard input ends after the body, so that it ends, or fails the check.
    ///
    /// - Parameters:
    ///   - arguments: the arguments after `backlog-check guest`.
    ///   - log: the file to which its standard error is appended.
    static func run<Result: Sendable>(
        _ arguments: [String], log: String, _ body: (inout RunningGuest) async throws -> Result
    ) async throws -> Result {
        let program = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().path
        let file = try FileDescriptor.open(
            FilePath(log), .writeOnly, options: [.append, .create, .closeOnExec], permissions: [.ownerReadWrite])
        return try await Subprocess.run(
            .path(FilePath(program)), arguments: Arguments(["guest"] + arguments), input: .inputWriter,
            output: .sequence, error: .fileDescriptor(file, closeAfterSpawningProcess: true)
        ) { execution in
            let (lines, continuation) = AsyncThrowingStream<String, any Error>.makeStream()
            let output = execution.standardOutput
            let reader = Task {
                do {
                    for try await line in output.strings() { continuation.yield(line) }
                    continuation.finish()
                } catch {
                    continuation.finish(throwing: error)
                }
            }
            var guest = RunningGuest(
                process: execution.processIdentifier.value, lines: lines.makeAsyncIterator(),
                killer: { try execution.send(signal: .kill) })
            do {
                let result = try await body(&guest)
                // The guest may have been killed.
                try? await execution.standardInputWriter.finish()
                await reader.value
                return result
            } catch {
                try? execution.send(signal: .kill)
                throw error
            }
        }.closureResult
    }
}
