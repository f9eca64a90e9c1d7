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
    }

    private let state = NIOLockedValueBox(State())
    private let wake: WakeUp
    private let limit: Duration

    /// - Parameter limit: How long one call may take. The watchdog acts up to an eighth of that later.
    init(limit: Duration) throws(SystemError) {
        self.limit = limit
        self.wake = try WakeUp()
    }

    deinit {
        self.state.withLockedValue { Self.close(&$0) }
    }

    /// Guards the connection with this descriptor from now on, until ``release()``.
    func watch(_ descriptor: Int32) {
        self.state.withLockedValue {
            Self.close(&$0)
            $0.descriptor = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        }
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
            let (call, isWatching, ended) = self.state.withLockedValue { ($0.call, $0.descriptor >= 0, $0.ended) }
            if ended { return }
            let now = ContinuousClock.now
            if call != seenCall {
                seenCall = call
                seenSince = now
            } else if call % 2 == 1, now - seenSince >= self.limit {
                self.state.withLockedValue {
                    if $0.call == call, $0.descriptor >= 0 { _ = shutdown($0.descriptor, Int32(SHUT_RDWR)) }
                }
            }
            self.wake.wait(timeout: isWatching ? self.limit / 8 : nil)
        }
    }

    private static func close(_ state: inout State) {
        if state.descriptor >= 0 { Glibc.close(state.descriptor) }
        state.descriptor = -1
    }
}
