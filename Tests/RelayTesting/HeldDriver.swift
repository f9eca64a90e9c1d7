// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
package import Notifications
package import Notifier

/// A driver that confirms nothing until the test releases it.
package final class HeldDriver: NotificationDriver {
    private struct State {
        var held: [(NotificationMessage, @Sendable (Result<Void, DriverError>) -> Void)] = []
        var waiters: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []
        var received = 0
    }

    package let name = "held"
    private let state = NIOLockedValueBox(State())

    package init() {}

    package func emit(
        _ notification: NotificationMessage, completion: @escaping @Sendable (Result<Void, DriverError>) -> Void
    ) {
        let ready = self.state.withLockedValue { state in
            state.held.append((notification, completion))
            state.received += 1
            let ready = state.waiters.filter { $0.count <= state.received }
            state.waiters.removeAll { $0.count <= state.received }
            return ready
        }
        for waiter in ready { waiter.continuation.resume() }
    }

    /// Returns once this many notifications have been received in all.
    package func received(_ count: Int) async {
        await withCheckedContinuation { continuation in
            let isReady = self.state.withLockedValue { state in
                guard state.received < count else { return true }
                state.waiters.append((count, continuation))
                return false
            }
            if isReady { continuation.resume() }
        }
    }

    /// Completes all held notifications.
    package func release(_ result: Result<Void, DriverError> = .success(())) {
        let held = self.state.withLockedValue { state in
            defer { state.held = [] }
            return state.held
        }
        for (_, completion) in held { completion(result) }
    }
}
