import Dispatch
import Glibc
import SystemPackage

/// Passes a command's standard error on to our own, and keeps its last lines.
///
/// The pipe is ours rather than the subprocess library's, so that a command that leaves a daemon behind (which holds
/// the pipe open) does not keep its outcome from being told.
///
/// - Note: all state is confined to `queue`.
final class StandardErrorTee: @unchecked Sendable {
    /// What the command writes to; it is closed here once the command has its own copy.
    let writeEnd: FileDescriptor
    private let readEnd: FileDescriptor
    private let queue = DispatchQueue(label: "guest-agent.standard-error")
    private let source: any DispatchSourceRead
    private var tail = LastLines()
    private var isEnded = false

    init() throws {
        let pipe = try FileDescriptor.pipe()
        self.readEnd = pipe.readEnd
        self.writeEnd = pipe.writeEnd
        self.source = DispatchSource.makeReadSource(fileDescriptor: pipe.readEnd.rawValue, queue: self.queue)
        self.source.setCancelHandler { [readEnd] in try? readEnd.close() }
    }

    /// Begins to pass on what the command writes.
    func start() {
        self.source.setEventHandler { self.passOn() }
        self.source.activate()
    }

    /// The command has ended: passes on what it left in the pipe.
    ///
    /// - Returns: the last lines it wrote.
    func finish() async -> [String] {
        await withCheckedContinuation { continuation in
            self.queue.async {
                // One chunk per turn as long as there is something: a daemon that goes on writing is not waited for.
                var turns = 0
                while !self.isEnded, turns < 64, self.hasBytes {
                    self.passOn()
                    turns += 1
                }
                self.source.cancel()
                continuation.resume(returning: self.tail.lines)
            }
        }
    }

    private var hasBytes: Bool {
        var descriptor = pollfd(fd: self.readEnd.rawValue, events: Int16(POLLIN), revents: 0)
        return unsafe poll(&descriptor, 1, 0) > 0
    }

    private func passOn() {
        var chunk = [UInt8](repeating: 0, count: 16 << 10)
        let count = unsafe chunk.withUnsafeMutableBytes { buffer in
            (try? unsafe self.readEnd.read(into: buffer)) ?? 0
        }
        guard count > 0 else {
            self.isEnded = true
            self.source.cancel()
            return
        }
        self.tail.append(chunk[..<count])
        // Our own standard error may be closed; the command's outcome matters more.
        _ = try? FileDescriptor.standardError.writeAll(chunk[..<count])
    }
}
