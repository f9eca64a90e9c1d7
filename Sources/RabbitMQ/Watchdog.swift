internal import Glibc
internal import NIOConcurrencyHelpers

/// Frees a thread that is stuck in a call of librabbitmq, by shutting its socket down under it.
///
/// `amqp_basic_publish` of librabbitmq 0.11 can wait for ever: on a peer that has gone silent, or on one that no longer
/// reads. Nothing but `shutdown(2)` from another thread ends that. It is called on a duplicate of the descriptor, because
/// the library closes its own without notice and the number may be another file's by then.
final class Watchdog: Sendable {
    private struct State {
        var descriptor: Int32 = -1
        /// Odd while the guarded thread is inside a call; each call has its own number.
        var call: UInt64 = 0
        var ended = false
        /// How long one call may take.
        var limit: Duration
    }

    private let state: NIOLockedValueBox<State>
    private let wake: WakeUp

    /// - Parameter limit: How long one call may take. The watchdog acts up to an eighth of that later.
    init(limit: Duration) throws(SystemError) {
        self.state = NIOLockedValueBox(State(limit: limit))
        self.wake = try WakeUp()
    }

    deinit {
        self.state.withLockedValue { Self.close(&$0) }
    }

    /// Guards the connection with this descriptor from now on, until ``release()``. False when there is no descriptor left
    /// to do so.
    func watch(_ descriptor: Int32) -> Bool {
        let isWatching = self.state.withLockedValue {
            Self.close(&$0)
            $0.descriptor = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
            return $0.descriptor >= 0
        }
        self.wake.signal()
        return isWatching
    }

    /// Lets no call, the present one included, take longer than this from now on: somebody waits for the end.
    func hurry(_ limit: Duration) {
        self.state.withLockedValue { $0.limit = min($0.limit, limit) }
        self.wake.signal()
    }

    func release() {
        self.state.withLockedValue { Self.close(&$0) }
    }

    /// Runs one call that may get stuck.
    func guarding<T>(_ call: () -> T) -> T {
        self.state.withLockedValue { $0.call &+= 1 }
        defer { self.state.withLockedValue { $0.call &+= 1 } }
        return call()
    }

    func end() {
        self.state.withLockedValue { $0.ended = true }
        self.wake.signal()
    }

    /// The watchdog's own thread. Returns after ``end()``.
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
