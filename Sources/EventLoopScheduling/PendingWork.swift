// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers

/// A submitted piece of work, which can be abandoned until it begins.
package final class PendingWork: Sendable {
    private let work: NIOLockedValueBox<(@Sendable () -> Void)?>

    init(_ work: @escaping @Sendable () -> Void) { self.work = NIOLockedValueBox(work) }

    /// Abandons the work: if it has not begun, it never will, and the memory that it holds is released now.
    package func abandon() { _ = self.take() }

    func begin() { self.take()?() }

    private func take() -> (@Sendable () -> Void)? {
        self.work.withLockedValue { work in
            defer { work = nil }
            return work
        }
    }
}
