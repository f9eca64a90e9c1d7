// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
import Notifications
import Notifier

/// A driver that counts its publications by message id, and rejects the messages that the test selects.
final class RejectingDriver: NotificationDriver {
    private struct State {
        var counts: [MessageID: Int] = [:]
        var published = 0
        var refused = 0
        var refusal: (@Sendable (NotificationMessage) -> DriverError.Code?)?
        var waiters: [(isReady: @Sendable (Int, Int) -> Bool, continuation: CheckedContinuation<Void, Never>)] = []
    }

    let name = "score"
    private let state = NIOLockedValueBox(State())

    /// The number of publications of each message.
    var counts: [MessageID: Int] { self.state.withLockedValue { $0.counts } }

    /// Rejects, from now on, the messages for which the closure returns an error code; nil accepts all.
    func refuse(_ refusal: (@Sendable (NotificationMessage) -> DriverError.Code?)?) {
        self.state.withLockedValue { $0.refusal = refusal }
    }

    /// Returns once this many different messages were published.
    func published(_ count: Int) async { await self.wait { published, _ in published >= count } }

    /// Returns once this many messages were rejected in total.
    func refused(_ count: Int) async { await self.wait { _, refused in refused >= count } }

    private func wait(_ isReady: @escaping @Sendable (Int, Int) -> Bool) async {
        await withCheckedContinuation { continuation in
            let isNow = self.state.withLockedValue { state in
                guard !isReady(state.counts.count, state.refused) else { return true }
                state.waiters.append((isReady, continuation))
                return false
            }
            if isNow { continuation.resume() }
        }
    }

    func emit(_ notification: NotificationMessage, completion: @escaping @Sendable (Result<Void, DriverError>) -> Void)
    {
        let (code, ready) = self.state.withLockedValue { state in
            let code = state.refusal?(notification)
            if code == nil { state.counts[notification.messageID, default: 0] += 1 } else { state.refused += 1 }
            let (published, refused) = (state.counts.count, state.refused)
            let ready = state.waiters.filter { $0.isReady(published, refused) }
            state.waiters.removeAll { $0.isReady(published, refused) }
            return (code, ready)
        }
        completion(
            code.map { .failure(DriverError($0, driver: self.name, reason: "as the test says")) } ?? .success(()))
        for waiter in ready { waiter.continuation.resume() }
    }
}
