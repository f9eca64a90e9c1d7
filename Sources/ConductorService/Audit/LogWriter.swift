// SPDX-License-Identifier: Apache-2.0

package import Dispatch
import Glibc
import NIOConcurrencyHelpers

/// A writer of a program's log. It writes on a separate queue, so that a log reader that is slow, or gone, stalls no
/// event loop.
///
/// Bytes that could not be written are kept and retried, and no line is torn.
package final class LogWriter: Sendable {
    /// The handling of a line for which there is no space.
    package enum Overflow: Sendable {
        /// The line is dropped and counted. Once there is space, the log gets a line with the count.
        case drop
        /// The thread that writes the line waits. Only for threads that nothing else depends on.
        case wait
    }

    /// A stream that log handlers write lines to.
    package struct Stream: TextOutputStream, Sendable {
        fileprivate let writer: LogWriter
        fileprivate let overflow: Overflow

        package func write(_ string: String) { self.writer.write(string, self.overflow) }
    }

    private struct State {
        var pending: [UInt8] = []
        var isWriting = false
        var dropped = 0
        var waiters: [DispatchSemaphore] = []
    }

    private let descriptor: CInt
    private let capacity: Int
    private let retryInterval: DispatchTimeInterval
    private let droppedLine: @Sendable (Int) -> String
    private let queue = DispatchQueue(label: "conductor.log")
    private let state = NIOLockedValueBox(State())

    /// - Parameters:
    ///   - descriptor: the descriptor that lines are written to; it stays open.
    ///   - capacity: the maximum number of bytes that wait. An empty buffer accepts one line of any length.
    ///   - retryInterval: the time to wait after a failed write.
    ///   - droppedLine: makes the line that says how many lines were dropped.
    package init(
        descriptor: CInt = STDERR_FILENO, capacity: Int = 1 << 20, retryInterval: DispatchTimeInterval = .seconds(1),
        droppedLine: @escaping @Sendable (Int) -> String
    ) {
        self.descriptor = descriptor
        self.capacity = capacity
        self.retryInterval = retryInterval
        self.droppedLine = droppedLine
    }

    /// Returns a stream to this writer.
    package func stream(_ overflow: Overflow) -> Stream { Stream(writer: self, overflow: overflow) }

    private enum EnqueueResult {
        case appended(isFirst: Bool)
        case dropped
        case waits(DispatchSemaphore)
    }

    private func write(_ line: String, _ overflow: Overflow) {
        while true {
            let result = self.state.withLockedValue { state -> EnqueueResult in
                guard state.pending.isEmpty || state.pending.count + line.utf8.count <= self.capacity else {
                    if overflow == .drop {
                        state.dropped += 1
                        return .dropped
                    }
                    let semaphore = DispatchSemaphore(value: 0)
                    state.waiters.append(semaphore)
                    return .waits(semaphore)
                }
                state.pending.append(contentsOf: line.utf8)
                defer { state.isWriting = true }
                return .appended(isFirst: !state.isWriting)
            }
            switch result {
            case .appended(let isFirst):
                if isFirst { self.queue.async { self.writePending() } }
                return
            case .dropped: return
            case .waits(let semaphore): semaphore.wait()
            }
        }
    }

    /// Writes the waiting bytes until there are none.
    private func writePending() {
        while true {
            let (bytes, waiters) = self.state.withLockedValue { state -> ([UInt8], [DispatchSemaphore]) in
                if state.dropped > 0 {
                    state.pending.append(contentsOf: self.droppedLine(state.dropped).utf8)
                    state.dropped = 0
                }
                defer { (state.pending, state.waiters, state.isWriting) = ([], [], !state.pending.isEmpty) }
                return (state.pending, state.waiters)
            }
            for waiter in waiters { waiter.signal() }
            guard !bytes.isEmpty else { return }
            guard self.finish(bytes, from: 0) else { return }
        }
    }

    /// Writes the bytes from this index on.
    ///
    /// - Returns: false if the write failed. It is retried later, and the waiting bytes are written after it.
    private func finish(_ bytes: [UInt8], from start: Int) -> Bool {
        var start = start
        while start < bytes.count {
            let rest = bytes.span.extracting(start...)
            let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(self.descriptor, $0.baseAddress, $0.count) }
            if count >= 0 {
                start += count
                continue
            }
            switch errno {
            case EINTR: continue
            case EAGAIN:
                var poll = pollfd(fd: self.descriptor, events: Int16(POLLOUT), revents: 0)
                _ = unsafe Glibc.poll(&poll, 1, -1)
            default:
                self.queue.asyncAfter(deadline: .now() + self.retryInterval) { [start] in
                    if self.finish(bytes, from: start) { self.writePending() }
                }
                return false
            }
        }
        return true
    }

    /// Waits until all lines are written, for at most this time.
    package func drain(within time: Duration) async {
        let end = ContinuousClock.now + time
        while self.state.withLockedValue({ $0.isWriting }), .now < end { try? await Task.sleep(for: .milliseconds(5)) }
    }
}
