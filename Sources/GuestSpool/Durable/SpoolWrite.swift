// SPDX-License-Identifier: Apache-2.0

import Dispatch
import NIOConcurrencyHelpers

/// A change and the caller that waits for it. The caller is answered once: with the result, or at the deadline.
final class SpoolWrite: Sendable {
    /// The requested change.
    let change: SpoolChange
    /// The time at which the caller stops waiting.
    let deadline: DispatchTime
    private let continuation: NIOLockedValueBox<CheckedContinuation<Void, any Error>?>

    /// - Parameters:
    ///   - change: the requested change.
    ///   - continuation: the waiting caller's continuation; nil when no caller waits.
    ///   - deadline: the time at which the caller stops waiting.
    init(_ change: SpoolChange, _ continuation: CheckedContinuation<Void, any Error>?, deadline: DispatchTime) {
        self.change = change
        self.continuation = NIOLockedValueBox(continuation)
        self.deadline = deadline
    }

    /// Resumes the caller with the result, if it still waits.
    ///
    /// - Returns: whether the caller was still waiting.
    @discardableResult
    func answer(_ result: Result<Void, OutboxError>) -> Bool {
        let continuation = self.continuation.withLockedValue { continuation in
            defer { continuation = nil }
            return continuation
        }
        continuation?.resume(with: result.mapError { $0 })
        return continuation != nil
    }
}
