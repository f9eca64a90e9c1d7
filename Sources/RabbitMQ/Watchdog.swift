// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import NIOConcurrencyHelpers

/// A watchdog that frees a thread which hangs in a call of librabbitmq, by shutting down the socket of that call.
///
/// `amqp_basic_publish` of librabbitmq 0.11 can wait without limit: for a peer that is silent, or for one that no
/// longer reads. Only `shutdown(2)` from another thread ends that. It is called on a duplicate of the descriptor,
/// because the library closes its own without notice, and then the number may belong to another file.
final class Watchdog: Sendable {
    private struct State {
        var descriptor: Int32 = -1
        /// Odd while the guarded thread is inside a call; each call has its own number.
        var call: UInt64 = 0
        var ended = false
        /// The time limit of one call.
        var limit: Duration
    }

    private let state: NIOLockedValueBox<State>
    private let wake: WakeUpEvent

    /// - Parameter limit: The time limit of one call. The watchdog acts up to an eighth of it later.
    init(limit: Duration) throws(SystemError) {
        self.state = NIOLockedValueBox(State(limit: limit))
        self.wake = try WakeUpEvent()
    }

    deinit {
        self.state.withLockedValue { Self.close(&$0) }
    }

    /// Guards the connection with this descriptor until ``release()``. Returns false when the process has no descriptor
    /// left for that.
    func watch(_ descriptor: Int32) -> Bool {
        let isWatching = self.state.withLockedValue {
            Self.close(&$0)
            $0.descriptor = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
            return $0.descriptor >= 0
        }
        self.wake.signal()
        return isWatching
    }

    /// Lowers the time limit of every call, including the current one, because a shutdown waits for the call to end.
    func shorten(_ limit: Duration) {
        self.state.withLockedValue { $0.limit = min($0.limit, limit) }
        self.wake.signal()
    }

    func release() {
        self.state.withLockedValue { Self.close(&$0) }
    }

    /// Runs one call that may hang.
    func guarding<T>(_ call: () -> T) -> T {
        self.state.withLockedValue { $0.call &+= 1 }
        defer { self.state.withLockedValue { $0.call &+= 1 } }
        return call()
    }

    func end() {
        self.state.withLockedValue { $0.ended = true }
        self.wake.signal()
    }

    /// Runs the watchdog, on its own thread. Returns after ``end()``.
    func run() {
        var seenCall: UInt64 = 0
        var seenSince = ContinuousClock.now
        while true {
            let (call, isWatching, ended, limit) = self.state.withLockedValue {
                ($0.call, $0.descriptor >= 0, $0.ended, $0.limit)
            }
            if ended { return }
            let now = ContinuousClock.now
            if call != seenCall {
                seenCall = call
                seenSince = now
            } else if call % 2 == 1, now - seenSince >= limit {
                self.state.withLockedValue {
                    if $0.call == call, $0.descriptor >= 0 { _ = shutdown($0.descriptor, Int32(SHUT_RDWR)) }
                }
            }
            self.wake.wait(timeout: isWatching ? max(limit / 8, .milliseconds(10)) : nil)
        }
    }

    private static func close(_ state: inout State) {
        if state.descriptor >= 0 { Glibc.close(state.descriptor) }
        state.descriptor = -1
    }
}
