import Dispatch
import Logging
import NIOConcurrencyHelpers

extension SpoolWriter {
    /// Records before anything else whose the spool is, and sets aside what it holds of another guest.
    func claim(_ names: [String]) {
        guard !names.isEmpty else { return }
        self.state.withLockedValue { $0.claim = names }
        self.store.writing.async { try? self.makeClaim() }
    }

    /// Returns when that is done: nothing of another guest's is handed out before.
    ///
    /// - Throws: ``OutboxError`` when the disk does not take it; the next call tries again.
    func claimed() async throws {
        guard self.state.withLockedValue({ $0.claim != nil }) else { return }
        try await withCheckedThrowingContinuation { continuation in
            self.store.writing.async {
                continuation.resume(
                    with: Result { try self.makeClaim() }.mapError { SpoolFailure.error($0, self.store.directory) })
            }
        }
    }

    /// On the writing queue.
    private func makeClaim() throws {
        guard let names = self.state.withLockedValue({ $0.claim }) else { return }
        let last = self.store.inheritedSequence
        let strangers = try self.store.write { db in try SpoolFile.claim(names, upTo: last, db) }
        self.state.withLockedValue { $0.claim = nil }
        guard let strangers else { return }
        self.store.logger.error(
            "The spool was another guest's; its outcomes are set aside and not sent",
            metadata: [
                "outcomes": "\(strangers.count)", "reason": "\(strangers.reason)",
                "spool": "\(self.store.directory.path)",
            ])
    }
}
