import Dispatch
import GRDB
import Logging
import NIOConcurrencyHelpers

/// The guest that a spool is to be recorded as belonging to.
struct SpoolClaim: Sendable {
    /// What its certificate calls it, first the name that it goes by.
    var names: [String]
    /// Differs from a later claim's.
    let number: Int
    /// Outcomes that were set aside so far.
    var count = 0
}

extension SpoolWriter {
    /// Records before anything else whose the spool is, and sets aside what it holds of another guest.
    func claim(_ names: [String]) {
        guard !names.isEmpty else { return }
        self.state.withLockedValue { state in
            state.claimCount += 1
            state.claim = SpoolClaim(names: names, number: state.claimCount)
        }
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

    /// On the writing queue. An operation that began before could be taken for the other guest's by the next agent.
    ///
    /// - Returns: why no operation may begin; nil when nothing is to be done, or all of it is.
    func claimFailure() -> OutboxError? {
        guard self.state.withLockedValue({ $0.claim != nil }) else { return nil }
        do {
            try self.makeClaim()
            return nil
        } catch {
            return SpoolFailure.error(error, self.store.directory)
        }
    }

    /// On the writing queue.
    private func makeClaim() throws {
        guard let claim = self.state.withLockedValue({ $0.claim }), let name = claim.names.first else { return }
        var origin = try self.unrecordedOrigin() ?? self.store.write { try SpoolOrigin($0) } ?? SpoolOrigin()
        let recorded = origin.guest
        let reason = origin.strangerReason(claim.names)
        if let recorded, let reason { try self.setAsideAll(of: recorded, reason) }
        if recorded != name || self.state.withLockedValue({ $0.origin != nil }) {
            origin.guest = name
            do {
                try self.record(origin, own: recorded == name ? [] : claim.names)
                self.state.withLockedValue { $0.origin = nil }
            } catch  where reason == nil && SpoolFailure(error) != .damage {
                // A disk that is full keeps nothing of this guest's from delivery; the first operation that begins records it.
                self.state.withLockedValue { $0.origin = origin }
            }
        }
        let count = self.state.withLockedValue { state in
            let count = state.claim?.count ?? 0
            if state.claim?.number == claim.number { state.claim = nil }
            state.hasClaimed = true
            return count
        }
        guard let reason else { return }
        self.store.logger.error(
            "The spool was another guest's; its outcomes are set aside and not sent any more",
            metadata: ["outcomes": "\(count)", "reason": "\(reason)", "spool": "\(self.store.directory.path)"])
    }

    private func setAsideAll(of guest: String, _ reason: String) throws {
        // Of an agent that has had another certificate so far, all that waits is of the guest which that one named.
        let isChange = self.state.withLockedValue { $0.hasClaimed }
        let inherited = self.store.takeover.lastSequence
        let last = try isChange ? self.store.write { try SpoolFile.lastSequence($0) } : inherited
        var marked: Int64 = 0
        while let end = try self.change({ try SpoolFile.markSetAside(of: guest, after: marked, upTo: last, $0) }) {
            marked = end
            self.carryOverLog()
        }
        while case let count = try self.change({ try SpoolFile.setAside(of: guest, reason, upTo: last, $0) }), count > 0
        {
            self.state.withLockedValue { $0.claim?.count += count }
            self.carryOverLog()
        }
    }

    /// Records whose the spool is, and lets this guest's own outcomes be retried that were set aside under another's certificate. A disk
    /// without room for both takes the first.
    private func record(_ origin: SpoolOrigin, own names: [String]) throws {
        do {
            try self.change { try SpoolFile.record(origin, own: names, $0) }
        } catch  where SpoolFailure(error) != .damage {
            try self.change { try SpoolFile.record(origin, $0) }
            self.store.logger.warning(
                "Outcomes of this guest's that were set aside under another's certificate stay marked as another's",
                metadata: ["error": "\(error)", "spool": "\(self.store.directory.path)"])
        }
    }

    /// Makes a change that is no caller's.
    private func change<Success>(_ body: (Database) throws -> Success) throws -> Success {
        do {
            return try self.store.write { db in
                try self.settleDoubt(db)
                return try body(db)
            }
        } catch {
            if SpoolFailure.leavesDoubt(error) { self.doubt() }
            throw error
        }
    }

    /// Whose the spool is, if the disk has not taken it yet. The file may be another than at the start, after damage.
    func unrecordedOrigin() -> SpoolOrigin? {
        guard var origin = self.state.withLockedValue({ $0.origin }) else { return nil }
        origin.fileMade = (try? self.store.directory.openForWriting())?.made(SpoolDirectory.file)
        return origin
    }
}
