import NIOConcurrencyHelpers

/// Work that was submitted, until somebody begins it. It can be abandoned up to then.
package final class PendingWork: Sendable {
    private let work: NIOLockedValueBox<(@Sendable () -> Void)?>

    init(_ work: @escaping @Sendable () -> Void) { self.work = NIOLockedValueBox(work) }

    /// Nobody wants it any more: if it has not begun it never will, and what it would have needed is let go now.
    package func abandon() { _ = self.take() }

    func begin() { self.take()?() }

    private func take() -> (@Sendable () -> Void)? {
        self.work.withLockedValue { work in
            defer { work = nil }
            return work
        }
    }
}
