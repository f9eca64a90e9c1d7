import Dispatch
import NIOConcurrencyHelpers

/// A change that somebody waits for; who is told once, by the disk or by the clock.
final class SpoolWrite: Sendable {
    /// What is asked for.
    let change: SpoolChange
    /// When its caller stops waiting.
    let deadline: DispatchTime
    private let continuation: NIOLockedValueBox<CheckedContinuation<Void, any Error>?>

    /// - Parameters:
    ///   - change: what is asked for.
    ///   - continuation: who waits; nil when nobody does.
    ///   - deadline: how long.
    init(_ change: SpoolChange, _ continuation: CheckedContinuation<Void, any Error>?, deadline: DispatchTime) {
        self.change = change
        self.continuation = NIOLockedValueBox(continuation)
        self.deadline = deadline
    }

    /// Tells whoever waits.
    ///
    /// - Returns: whether anybody still did.
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

extension Duration {
    /// What Dispatch can wait for; a longer time is cut.
    var dispatchInterval: DispatchTimeInterval {
        let (seconds, attoseconds) = self.components
        guard seconds < 1 << 32 else { return .never }
        return .nanoseconds(Int(seconds) * 1_000_000_000 + Int(attoseconds / 1_000_000_000))
    }
}
