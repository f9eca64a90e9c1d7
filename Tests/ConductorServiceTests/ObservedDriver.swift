// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
import Notifications
import Notifier

/// A wrapper of another driver that records the result of each notification.
final class ObservedDriver: NotificationDriver {
    private struct State {
        var failed: [MessageID] = []
        var succeeded: [MessageID] = []
        var waiter: (count: Int, continuation: CheckedContinuation<Void, Never>)?
    }

    let name = "observed"
    private let driver: any NotificationDriver
    private let state = NIOLockedValueBox(State())

    init(_ driver: any NotificationDriver) { self.driver = driver }

    /// The notifications that the driver did not confirm, one entry an attempt.
    var failed: [MessageID] { self.state.withLockedValue { $0.failed } }
    /// The notifications that the driver confirmed.
    var succeeded: [MessageID] { self.state.withLockedValue { $0.succeeded } }

    func emit(_ notification: NotificationMessage, completion: @escaping @Sendable (Result<Void, DriverError>) -> Void)
    {
        self.driver.emit(notification) { result in
            let woken = self.state.withLockedValue { state -> CheckedContinuation<Void, Never>? in
                switch result {
                case .success: state.succeeded.append(notification.messageID)
                case .failure: state.failed.append(notification.messageID)
                }
                guard let waiter = state.waiter, state.failed.count >= waiter.count else { return nil }
                state.waiter = nil
                return waiter.continuation
            }
            woken?.resume()
            completion(result)
        }
    }

    /// Returns once this many attempts have failed in all.
    func failed(_ count: Int) async {
        await withCheckedContinuation { continuation in
            let isReady = self.state.withLockedValue { state in
                guard state.failed.count < count else { return true }
                state.waiter = (count, continuation)
                return false
            }
            if isReady { continuation.resume() }
        }
    }

    func run() async throws { try await self.driver.run() }
}
