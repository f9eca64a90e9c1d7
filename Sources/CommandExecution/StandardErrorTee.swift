import CCommandExecution
import Glibc
import NIOConcurrencyHelpers
package import SystemPackage

/// Passes a command's standard error on to our own, and keeps its last lines.
///
/// A command may leave a child behind that goes on writing. It must neither keep the command's outcome from being reported nor
/// die of a broken pipe, so a process of its own (`standard_error_keeper_start`) reads the pipe from then on. That process is
/// made before the command starts, while there is certainly room for it, and takes over as well when this one is killed.
package final class StandardErrorTee: Sendable {
    private enum Progress {
        case reading
        case waitedFor(CheckedContinuation<Void, Never>)
        case ended
    }

    private struct State {
        var tail = LastLines()
        var progress = Progress.reading
    }

    private typealias Pipe = (readEnd: FileDescriptor, writeEnd: FileDescriptor)

    /// What the command writes to; whoever starts the command closes it here.
    package let writeEnd: FileDescriptor
    private let readEnd: FileDescriptor
    /// Closing the writing end tells the thread that the command has ended.
    private let stop: Pipe
    /// Closing it tells the keeper to go on.
    private let keeper: FileDescriptor
    private let keeperProcess: pid_t
    private let state = NIOLockedValueBox(State())

    /// Makes the pipe and the process that reads it last. To be called on the main thread, before there is another.
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

    /// Begins to pass on what the command writes.
    package func start() throws(Errno) { try NativeThread.start { self.read() } }

    /// The command has ended: passes on what it left in the pipe. To be called once, after ``start()``.
    ///
    /// - Returns: the last lines it wrote.
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

    /// No command will be run, and this process is about to end: the keeper goes first.
    package func discard() async {
        try? self.writeEnd.close()
        _ = await self.finish()
    }

    /// Waits no longer for a reader of our standard error that does not read.
    package func abandon() { self.end() }

    private func read() {
        var turnsLeft: Int?
        var isAtEnd = false
        while turnsLeft != 0 {
            let (hasBytes, isStopped) = self.wait(isStopped: turnsLeft != nil)
            // A child that goes on writing after the command's end is not waited for.
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
            // Our own standard error may be closed; the command's outcome matters more.
            _ = unsafe chunk.withUnsafeBytes { bytes in
                unsafe command_write(STDERR_FILENO, bytes.baseAddress, bytes.count)
            }
        }
        try? self.readEnd.close()
        try? self.stop.readEnd.close()
        // The keeper sees the pipe's end at once unless another process still has it. Then it is reaped here: one that ends after this process
        // stays a zombie in a container whose first process does not reap.
        try? self.keeper.close()
        if isAtEnd { standard_error_keeper_reap(self.keeperProcess) }
        self.end()
    }

    /// Waits for bytes (or the pipe's end) and for the stop; once stopped, only looks.
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
