import DequeModule
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

    /// How far a claim is.
    struct Progress: Sendable {
        enum Stage: Sendable { case beginning, settingAside, marking, recording }

        /// The claim's number.
        let number: Int
        var stage = Stage.beginning
        /// The guest whose the spool was, and why this one is another; nil when it is the same.
        var other: (guest: String, reason: String)?
        /// Later outcomes are this guest's.
        var lastSequence: Int64 = 0
        /// Outcomes up to here are marked as the other guest's, and up to there this guest's own are marked so no longer.
        var (marked, released): (Int64, Int64) = (0, 0)
        /// Outcomes that were set aside so far.
        var count = 0

        init(number: Int) { self.number = number }
    }
}

// A claim is made in transactions of a bounded size, one a turn of the writing queue: outcomes of operations that end meanwhile are
// written between them. Operations that are to begin wait for its end, since the next agent could take them for the other guest's.
extension SpoolWriter {
    /// Records before any operation begins whose the spool is, and sets aside what it holds of another guest.
    func claim(_ names: [String]) {
        guard !names.isEmpty else { return }
        let isFirst = self.state.withLockedValue { state in
            state.claimCount += 1
            state.claim = SpoolClaim(names: names, number: state.claimCount)
            state.claimedNames = names
            state.pending.holdBeginnings()
            defer { state.isClaiming = true }
            return !state.isClaiming
        }
        if isFirst { self.advanceClaimLater() }
    }

    /// Returns when that is done: nothing of another guest's is handed out before.
    ///
    /// - Throws: ``OutboxError`` when the disk does not take it; the next call tries again.
    func claimed() async throws {
        guard self.state.withLockedValue({ $0.claim != nil }) else { return }
        try await withCheckedThrowingContinuation { continuation in
            let (isDone, isFirst) = self.state.withLockedValue { state in
                guard state.claim != nil else { return (true, false) }
                state.claimWaiters.append(continuation)
                defer { state.isClaiming = true }
                return (false, !state.isClaiming)
            }
            if isDone { continuation.resume() }
            if isFirst { self.advanceClaimLater() }
        }
    }

    /// To be called by the caller that has set `isClaiming`.
    func advanceClaimLater() { self.store.writing.async { self.advanceClaim() } }

    /// On the writing queue, as is all that follows.
    private func advanceClaim() {
        do {
            if try self.claimMore() { self.advanceClaimLater() } else { self.endClaim(nil) }
        } catch {
            self.endClaim(SpoolFailure.error(error, self.store.directory))
        }
    }

    /// Makes all of it: the spool is being closed.
    func finishClaim() {
        guard self.state.withLockedValue({ $0.claim != nil }) else { return }
        do {
            while try self.claimMore() {}
            self.endClaim(nil)
        } catch {
            self.endClaim(SpoolFailure.error(error, self.store.directory))
        }
    }

    /// - Parameter error: why it is not done; nil when it is.
    private func endClaim(_ error: OutboxError?) {
        var (waiters, refused): ([CheckedContinuation<Void, any Error>], Deque<SpoolWrite>) = ([], [])
        let (isReplaced, isFirst) = self.state.withLockedValue { state in
            // Another claim came when this one had ended.
            if error == nil, state.claim != nil { return (true, false) }
            state.isClaiming = false
            swap(&waiters, &state.claimWaiters)
            guard error == nil else {
                refused = state.pending.takeHeld()
                for write in refused { state.leaveBeginning(write) }
                return (false, false)
            }
            state.pending.releaseBeginnings()
            let isFirst = !state.isWriting && !state.pending.isEmpty
            if isFirst { state.isWriting = true }
            return (false, isFirst)
        }
        if isReplaced { return self.advanceClaimLater() }
        for waiter in waiters {
            if let error { waiter.resume(throwing: error) } else { waiter.resume() }
        }
        if let error { for write in refused { write.answer(.failure(error)) } }
        if isFirst { self.store.writing.async { self.drain() } }
    }

    /// Makes one transaction of the present claim.
    ///
    /// - Returns: whether more is left to do.
    private func claimMore() throws -> Bool {
        let (claim, earlier) = self.state.withLockedValue { ($0.claim, $0.claimProgress) }
        guard let claim else { return false }
        var progress = SpoolClaim.Progress(number: claim.number)
        if let earlier, earlier.number == claim.number {
            progress = earlier
        } else if let earlier, earlier.count > 0 {
            self.logClaim(earlier)
        }
        do {
            let isMore = try self.claimMore(claim, &progress)
            self.carryOverLog()
            let isReplaced = self.state.withLockedValue { state in
                state.claimProgress = isMore ? progress : nil
                if isMore { return false }
                state.hasClaimed = true
                if state.claim?.number == claim.number { state.claim = nil }
                return state.claim != nil
            }
            if !isMore { self.logClaim(progress) }
            return isMore || isReplaced
        } catch {
            self.state.withLockedValue { $0.claimProgress = progress }
            throw error
        }
    }

    private func logClaim(_ progress: SpoolClaim.Progress) {
        guard let other = progress.other else { return }
        self.store.logger.error(
            "The spool was another guest's; its outcomes are set aside and not sent any more",
            metadata: [
                "outcomes": "\(progress.count)", "reason": "\(other.reason)", "spool": "\(self.store.directory.path)",
            ])
    }

    private func claimMore(_ claim: SpoolClaim, _ progress: inout SpoolClaim.Progress) throws -> Bool {
        switch progress.stage {
        case .beginning:
            let origin = try self.recordedOrigin()
            guard let guest = origin.guest, let reason = origin.strangerReason(claim.names) else {
                progress.stage = .recording
                return try self.record(claim, &progress)
            }
            let last = try self.change { try SpoolFile.beginClaim(origin, $0) }
            self.state.withLockedValue { $0.origin = nil }
            // Of an agent that has had another certificate so far, all that waits is of the guest which that one named. Else it is what
            // was there when the spool was opened, and what was retried since.
            let (hasClaimed, hasFinished) = self.state.withLockedValue { ($0.hasClaimed, $0.hasFinished) }
            progress.lastSequence = hasClaimed || !hasFinished ? last : self.store.takeover.lastSequence
            (progress.other, progress.stage) = ((guest, reason), .settingAside)
        case .settingAside:
            guard let other = progress.other else { return false }
            let last = progress.lastSequence
            let count = try self.change { try SpoolFile.setAside(of: other.guest, other.reason, upTo: last, $0) }
            progress.count += count
            if count == 0 { progress.stage = .marking }
        case .marking:
            // After what waited: what a conductor refuses meanwhile is marked too.
            guard let other = progress.other else { return false }
            let (marked, last) = (progress.marked, progress.lastSequence)
            let end = try self.change {
                try SpoolFile.markSetAside(of: other.guest, after: marked, upTo: last, $0)
            }
            if let end { progress.marked = end } else { progress.stage = .recording }
        case .recording: return try self.record(claim, &progress)
        }
        return true
    }

    /// Whose the spool is.
    private func recordedOrigin() throws -> SpoolOrigin {
        try self.unrecordedOrigin() ?? self.store.write { try SpoolOrigin($0) } ?? SpoolOrigin()
    }

    /// Records whose the spool is, and lets this guest's own outcomes be retried that were set aside under another's certificate. A disk
    /// without room for both takes the first.
    ///
    /// - Returns: whether more is left to do.
    private func record(_ claim: SpoolClaim, _ progress: inout SpoolClaim.Progress) throws -> Bool {
        guard let name = claim.names.first else { return false }
        var origin = try self.recordedOrigin()
        let wasBeingClaimed = origin.isBeingClaimed
        let isRecorded = origin.guest == name && !wasBeingClaimed
        if isRecorded, self.state.withLockedValue({ $0.origin == nil }) { return false }
        origin.guest = name
        var refusal: (any Error)?
        if !isRecorded {
            do {
                let after = progress.released
                let end = try self.change { try SpoolFile.record(origin, own: claim.names, after: after, $0) }
                self.state.withLockedValue { $0.origin = nil }
                if let end { progress.released = end }
                return end != nil
            } catch  where SpoolFailure(error) != .damage {
                refusal = error
            }
        }
        do {
            origin.isBeingClaimed = false
            try self.change { [origin] in try SpoolFile.record(origin, $0) }
            self.state.withLockedValue { $0.origin = nil }
        } catch  where progress.other == nil && SpoolFailure(error) != .damage {
            // A disk that is full keeps nothing of this guest's from delivery; the first operation that begins records it. What another
            // claim has left is for the next one, which that operation has begun.
            origin.isBeingClaimed = wasBeingClaimed
            self.state.withLockedValue { $0.origin = origin }
            return false
        }
        if let refusal {
            self.store.logger.warning(
                "Outcomes of this guest's that were set aside under another's certificate stay marked as another's",
                metadata: ["error": "\(refusal)", "spool": "\(self.store.directory.path)"])
        }
        return false
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
