// SPDX-License-Identifier: Apache-2.0

import CCommandExecution
import Glibc
import NIOConcurrencyHelpers
package import SystemPackage

/// A tee that passes a command's standard error on to this process's own, and keeps the last lines.
///
/// A command may leave a child behind that goes on writing. The child must neither delay the report of the command's
/// outcome nor die of a broken pipe. Therefore a separate process (`standard_error_keeper_start`) reads the pipe after
/// the command's end, and also when this process is killed. That process is created before the command starts, so that
/// a lack of resources cannot prevent it later.
package final class StandardErrorTee: Sendable {
    private enum Progress {
        case reading
        case waitedFor(CheckedContinuation<Void, Never>)
        case ended
    }

    private struct State {
        var tail = LineTailBuffer()
        var progress = Progress.reading
    }

    private typealias Pipe = (readEnd: FileDescriptor, writeEnd: FileDescriptor)

    /// The end of the pipe to which the command writes. The starter of the command closes it in this process.
    package let writeEnd: FileDescriptor
    private let readEnd: FileDescriptor
    /// The pipe that notifies the thread of the command's end, when its writing end is closed.
    private let stop: Pipe
    /// The descriptor whose closing makes the keeper take over.
    private let keeper: FileDescriptor
    private let keeperProcess: pid_t
    private let state = NIOLockedValueBox(State())

    /// Creates the pipe and the process that reads it last. Call it on the main thread, before any other thread exists.
    package init() throws(Errno) {
        let data = try Self.pipe()
        let keeper = try Self.pipe()
        self.stop = try Self.pipe()
        self.readEnd = data.readEnd
        self.writeEnd = data.writeEnd
        self.keeper = keeper.writeEnd
        var process: pid_t = 0
        try check(unsafe standard_error_keeper_start(data.readEnd.rawValue, keeper.readEnd.rawValue, &process))
        self.keeperProcess = process
        try? keeper.readEnd.close()
    }

    private static func pipe() throws(Errno) -> Pipe {
        var descriptors: [CInt] = [-1, -1]
        try check(unsafe command_pipe(&descriptors))
        return (FileDescriptor(rawValue: descriptors[0]), FileDescriptor(rawValue: descriptors[1]))
    }

    /// Starts the thread that passes on what the command writes.
    package func start() throws(Errno) { try POSIXThread.start { self.read() } }

    /// Passes on what the ended command left in the pipe. Call it once, after ``start()``.
    ///
    /// - Returns: the last lines that the command wrote.
    package func finish() async -> [String] {
        try? self.stop.writeEnd.close()
        await withCheckedContinuation { continuation in
            let isEnded = self.state.withLockedValue { state in
                if case .ended = state.progress { return true }
                state.progress = .waitedFor(continuation)
                return false
            }
            if isEnded { continuation.resume() }
        }
        return self.state.withLockedValue { $0.tail }.lines
    }

    /// Makes the keeper end before this process ends without having run a command.
    package func discard() async {
        try? self.writeEnd.close()
        _ = await self.finish()
    }

    /// Stops waiting for a reader of this process's standard error that does not read.
    package func abandon() { self.end() }

    private func read() {
        var turnsLeft: Int?
        var isAtEnd = false
        while turnsLeft != 0 {
            let (hasBytes, isStopped) = self.wait(isStopped: turnsLeft != nil)
            // Does not wait for a child that goes on writing after the command's end.
            if isStopped, turnsLeft == nil { turnsLeft = 64 }
            turnsLeft = turnsLeft.map { $0 - 1 }
            guard hasBytes else {
                if turnsLeft != nil { break }
                continue
            }
            guard let chunk = self.nextChunk() else {
                isAtEnd = true
                break
            }
            self.state.withLockedValue { $0.tail.append(chunk) }
            // This process's standard error may be closed; the command's outcome matters more.
            _ = unsafe chunk.withUnsafeBytes { bytes in
                unsafe command_write(STDERR_FILENO, bytes.baseAddress, bytes.count)
            }
        }
        try? self.readEnd.close()
        try? self.stop.readEnd.close()
        // The keeper now reads the pipe, and ends at once if no other process has the pipe open. In that case it is
        // reaped here: a process that ends after this one stays a zombie in a container whose first process does not
        // reap.
        try? self.keeper.close()
        if isAtEnd { standard_error_keeper_reap(self.keeperProcess) }
        self.end()
    }

    /// Waits for bytes, the pipe's end or the stop. Once stopped, it only polls.
    private func wait(isStopped: Bool) -> (hasBytes: Bool, isStopped: Bool) {
        var descriptors = [
            pollfd(fd: self.readEnd.rawValue, events: Int16(POLLIN), revents: 0),
            pollfd(fd: self.stop.readEnd.rawValue, events: Int16(POLLIN), revents: 0),
        ]
        guard unsafe poll(&descriptors, 2, isStopped ? 0 : -1) > 0 else { return (false, isStopped) }
        return (descriptors[0].revents != 0, descriptors[1].revents != 0)
    }

    private func nextChunk() -> ArraySlice<UInt8>? {
        var chunk = [UInt8](repeating: 0, count: 16 << 10)
        let count = unsafe chunk.withUnsafeMutableBytes { buffer in
            (try? unsafe self.readEnd.read(into: buffer)) ?? 0
        }
        return count > 0 ? chunk[..<count] : nil
    }

    private func end() {
        let waiting = self.state.withLockedValue { state -> CheckedContinuation<Void, Never>? in
            defer { state.progress = .ended }
            if case .waitedFor(let continuation) = state.progress { return continuation }
            return nil
        }
        waiting?.resume()
    }
}
