import Foundation
import Glibc
import NIOConcurrencyHelpers
import SystemPackage

/// Passes a command's standard error on to our own, and keeps its last lines.
///
/// The pipe is ours rather than the subprocess library's, so that a command that leaves a daemon behind (which holds
/// the pipe open) does not keep its outcome from being told. It is read by a thread of its own: Dispatch on Linux reads
/// memory it has freed when a source's pipe hangs up (seen as a segmentation fault once in some thousand commands).
final class StandardErrorTee: Sendable {
    private enum State {
        case reading
        case waitedFor(CheckedContinuation<[String], Never>)
        case ended([String])
    }

    /// What the command writes to; whoever starts the command closes it here.
    let writeEnd: FileDescriptor
    private let readEnd: FileDescriptor
    /// Closing the writing end tells the thread that the command has ended.
    private let stop: (readEnd: FileDescriptor, writeEnd: FileDescriptor)
    private let state = NIOLockedValueBox(State.reading)

    init() throws {
        let pipe = try FileDescriptor.pipe()
        let stop = try FileDescriptor.pipe()
        self.readEnd = pipe.readEnd
        self.writeEnd = pipe.writeEnd
        self.stop = (stop.readEnd, stop.writeEnd)
    }

    /// Begins to pass on what the command writes.
    func start() {
        Thread.detachNewThread { self.read() }
    }

    /// The command has ended: passes on what it left in the pipe. To be called once, after ``start()``.
    ///
    /// - Returns: the last lines it wrote.
    func finish() async -> [String] {
        try? self.stop.writeEnd.close()
        return await withCheckedContinuation { continuation in
            let lines = self.state.withLockedValue { state -> [String]? in
                if case .ended(let lines) = state { return lines }
                state = .waitedFor(continuation)
                return nil
            }
            if let lines { continuation.resume(returning: lines) }
        }
    }

    private func read() {
        var tail = LastLines()
        var turnsLeft: Int?
        while turnsLeft != 0 {
            let (hasBytes, isStopped) = self.wait(isStopped: turnsLeft != nil)
            // A daemon that goes on writing after the command's end is not waited for.
            if isStopped, turnsLeft == nil { turnsLeft = 64 }
            turnsLeft = turnsLeft.map { $0 - 1 }
            guard hasBytes else {
                if turnsLeft != nil { break }
                continue
            }
            guard let chunk = self.nextChunk() else { break }
            tail.append(chunk)
            // Our own standard error may be closed; the command's outcome matters more.
            _ = try? FileDescriptor.standardError.writeAll(chunk)
        }
        try? self.readEnd.close()
        try? self.stop.readEnd.close()
        self.end(tail.lines)
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

    private func end(_ lines: [String]) {
        let waiting = self.state.withLockedValue { state -> CheckedContinuation<[String], Never>? in
            defer { state = .ended(lines) }
            if case .waitedFor(let continuation) = state { return continuation }
            return nil
        }
        waiting?.resume(returning: lines)
    }
}
