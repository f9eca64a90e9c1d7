// SPDX-License-Identifier: Apache-2.0

import GuestAgent
import NIOConcurrencyHelpers
import Notifications

/// A message that says what a delivery waits for, printed once the wait has lasted for ``delay``.
///
/// When several agents deliver at once, the first that has waited so long prints it for all.
final class DeliveryWaitMessage: Sendable {
    private static let delay = Duration.seconds(3)

    private let isPrinted = NIOLockedValueBox(false)

    /// Runs the body, which delivers, and prints the message when that takes longer than ``delay``.
    ///
    /// - Parameters:
    ///   - agent: the agent that delivers.
    ///   - place: the spool's directory.
    ///   - timeout: how long the delivery may take.
    func during<Result: Sendable>(
        _ agent: GuestAgent, place: String, timeout: Duration, _ body: () async throws -> Result
    ) async rethrows -> Result {
        let notice = Task {
            guard timeout > Self.delay, (try? await Task.sleep(for: Self.delay)) != nil else { return }
            let isFirst = self.isPrinted.withLockedValue { isPrinted in
                defer { isPrinted = true }
                return !isPrinted
            }
            guard isFirst else { return }
            let rest = SpoolOutputFormat.count(Int((timeout - Self.delay).components.seconds), "second")
            let deliveryProblem =
                agent.deliveryProblem.map { SpoolOutputFormat.oneLine($0) }
                ?? "a conductor is connected and has not answered yet"
            GuestAgentExit.printMessage(
                """
                Waiting for a conductor to accept what \(place) holds, for at most \(rest) more: \(deliveryProblem). A signal ends the \
                wait; the outcomes stay there.
                """)
        }
        defer { notice.cancel() }
        return try await body()
    }
}
