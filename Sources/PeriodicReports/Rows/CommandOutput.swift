// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import SystemPackage
import Timing

/// The two pipes that a command writes to. A separate thread reads both to their ends.
///
/// The pipes are created here, since the subprocess library stops reading when the process has ended: the output of a
/// pipeline whose last part still prints would be truncated without an error. Here a missing end of file is a failure.
/// A thread reads, since Dispatch on Linux has been seen to read freed memory when a source's pipe hangs up.
final class CommandOutput: Sendable {
    /// The reason why the reading ended.
    enum Verdict: Sendable, Hashable {
        /// The process ended, and both pipes reached their end.
        case ended
        /// The output exceeded its limit.
        case tooLong
        /// The process did not end in time.
        case late
        /// The process ended in time, but a pipe did not reach its end.
        case held
        /// The task was cancelled.
        case cancelled
    }

    /// The reason why the reading ended, and the bytes that were read.
    struct Result: Sendable {
        var verdict = Verdict.ended
        var standardOutput: [UInt8] = []
        /// The end of standard error.
        var standardError: [UInt8] = []
    }

    /// The two ends of a pipe.
    struct Pipe: Sendable {
        let readEnd: FileDescriptor
        let writeEnd: FileDescriptor

        init() throws {
            (self.readEnd, self.writeEnd) = try FileDescriptor.pipe()
            // The subprocess library closes inherited descriptors in a child; this flag covers children that other code
            // starts.
            _ = fcntl(self.readEnd.rawValue, F_SETFD, FD_CLOEXEC)
            _ = fcntl(self.writeEnd.rawValue, F_SETFD, FD_CLOEXEC)
        }
    }

    /// The pipe of the command's standard output. The code that starts the command closes the write end here.
    let standardOutput: Pipe
    /// The pipe of the command's standard error. The code that starts the command closes the write end here.
    let standardError: Pipe
    /// A pipe in which a byte ends the reading.
    private let stop: Pipe
    private let maximumBytes: Int
    private let maximumErrorBytes: Int

    init(maximumBytes: Int, maximumErrorBytes: Int) throws {
        var pipes: [Pipe] = []
        do {
            for _ in 0..<3 { pipes.append(try Pipe()) }
        } catch {
            // No descriptors are left: close those that were opened.
            for descriptor in pipes.flatMap({ [$0.readEnd, $0.writeEnd] }) { try? descriptor.close() }
            throw error
        }
        (self.standardOutput, self.standardError, self.stop) = (pipes[0], pipes[1], pipes[2])
        self.maximumBytes = maximumBytes
        self.maximumErrorBytes = maximumErrorBytes
    }

    deinit {
        for descriptor in [
            self.standardOutput.readEnd, self.standardError.readEnd, self.stop.readEnd, self.stop.writeEnd,
        ] {
            try? descriptor.close()
        }
    }

    /// Reads until the process and both pipes have ended, a limit is reached, or the task is cancelled. Call it once.
    ///
    /// - Parameters:
    ///   - process: the process's descriptor, which is not closed here; -1 if there is none.
    ///   - timeout: the time limit of the reading.
    func read(until process: Int32, timeout: Duration) async -> Result {
        let deadline = ContinuousClock.now + timeout
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                Thread.detachNewThread {
                    continuation.resume(returning: self.readToEnd(process, deadline))
                }
            }
        } onCancel: {
            _ = try? self.stop.writeEnd.writeAll([1])
        }
    }

    private func readToEnd(_ process: Int32, _ deadline: ContinuousClock.Instant) -> Result {
        var result = Result()
        // poll() ignores negative descriptors.
        var waiting = [
            self.standardOutput.readEnd.rawValue, self.standardError.readEnd.rawValue, process,
            self.stop.readEnd.rawValue,
        ]
        while waiting[0] >= 0 || waiting[1] >= 0 || waiting[2] >= 0 {
            let left = deadline - ContinuousClock.now
            guard left > .zero else {
                result.verdict = waiting[2] >= 0 ? .late : .held
                break
            }
            var descriptors = waiting.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            guard unsafe poll(&descriptors, 4, left.pollTimeout) > 0 else { continue }
            if descriptors[3].revents != 0 {
                result.verdict = .cancelled
                break
            }
            if descriptors[2].revents != 0 { waiting[2] = -1 }
            if descriptors[0].revents != 0 {
                guard let chunk = Self.nextChunk(self.standardOutput.readEnd) else {
                    waiting[0] = -1
                    continue
                }
                guard result.standardOutput.count + chunk.count <= self.maximumBytes else {
                    result.verdict = .tooLong
                    break
                }
                result.standardOutput.append(contentsOf: chunk)
            }
            if descriptors[1].revents != 0 {
                guard let chunk = Self.nextChunk(self.standardError.readEnd) else {
                    waiting[1] = -1
                    continue
                }
                result.standardError.append(contentsOf: chunk)
                // The buffer is trimmed rarely, so that a command with much output does not cost a copy for each chunk.
                if result.standardError.count > 2 * self.maximumErrorBytes + chunk.count {
                    result.standardError.removeFirst(result.standardError.count - self.maximumErrorBytes)
                }
            }
        }
        result.standardError = Array(result.standardError.suffix(self.maximumErrorBytes))
        return result
    }

    private static func nextChunk(_ descriptor: FileDescriptor) -> ArraySlice<UInt8>? {
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        let count = unsafe chunk.withUnsafeMutableBytes { buffer in (try? unsafe descriptor.read(into: buffer)) ?? 0 }
        return count > 0 ? chunk[..<count] : nil
    }
}
