// SPDX-License-Identifier: Apache-2.0

import GuestAgent
import NIOConcurrencyHelpers

/// A notice that says what a delivery waits for, printed once the wait has lasted for ``delay``.
///
/// When several agents deliver at once, the first that has waited so long prints it for all.
final class WaitNotice: Sendable {
    private static let delay = Duration.seconds(3)

    private let isPrinted = NIOLockedValueBox(false)

    /// Runs the body, which delivers, and prints the notice when that takes longer than ``delay``.
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
            let rest = SpoolText.count(Int((timeout - Self.delay).components.seconds), "second")
            let obstacle =
                agent.obstacle.map { SpoolText.oneLine($0) } ?? "a conductor is connected and has not answered yet"
            GuestAgentExit.say(
                """
                Waiting for a conductor to take what \(place) holds, for \(rest) more at most: \(obstacle). A signal ends the \
                wait; what waits stays there.
                """)
        }
        defer { notice.cancel() }
        return try await body()
    }
}
