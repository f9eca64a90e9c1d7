// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
import NIOCore
import NIOPosix

/// Wakes one waiting task. Signals without a waiting task are remembered as one.
final class WakeSignal: Sendable {
    private enum State {
        case idle
        case signalled
        case waiting(CheckedContinuation<Void, Never>)
    }

    private let state = NIOLockedValueBox(State.idle)

    /// Wakes the waiting task, or the next one to wait.
    func signal() {
        let waiting = self.state.withLockedValue { state -> CheckedContinuation<Void, Never>? in
            if case .waiting(let continuation) = state {
                state = .idle
                return continuation
            }
            state = .signalled
            return nil
        }
        waiting?.resume()
    }

    /// Waits for the next signal or for the task's cancellation. Only one task may wait at a time.
    func wait() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isSignalled = self.state.withLockedValue { state in
                    if case .signalled = state {
                        state = .idle
                        return true
                    }
                    state = .waiting(continuation)
                    return false
                }
                if isSignalled { continuation.resume() }
            }
        } onCancel: {
            self.signal()
        }
    }
}

extension WakeSignal {
    /// Waits for the next signal, for the task's cancellation, or until this time; with nil there is no time limit.
    func wait(until end: ContinuousClock.Instant?) async {
        let timer = end.map { end in
            let delay = max(.zero, end - .now)
            return MultiThreadedEventLoopGroup.singleton.next()
                .scheduleTask(in: TimeAmount(delay)) { self.signal() }
        }
        await self.wait()
        timer?.cancel()
    }
}
