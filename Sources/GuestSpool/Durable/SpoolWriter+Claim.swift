// SPDX-License-Identifier: Apache-2.0

import DequeModule
import Dispatch
import GRDB
import Logging
import NIOConcurrencyHelpers

/// A request to record the spool as this guest's.
struct SpoolClaim: Sendable {
    /// The guest's names in its certificate; the first one is the guest's primary name.
    var names: [String]
    /// The number of this claim, which differs from every other claim's.
    let number: Int

    /// The progress of a claim.
    struct Progress: Sendable {
        enum Stage: Sendable { case beginning, settingAside, marking, recording }

        /// The claim's number.
        let number: Int
        var stage = Stage.beginning
        /// The guest that owned the spool, and why this guest is another one; nil when it is the same guest.
        var other: (guest: String, reason: String)?
        /// The last sequence of the other guest; later outcomes are this guest's.
        var lastSequence: Int64 = 0
        /// The sequence up to which outcomes are marked as the other guest's, and the sequence up to which this guest's
        /// own outcomes are no longer marked.
        var (marked, released): (Int64, Int64) = (0, 0)
        /// The number of outcomes that were set aside so far.
        var count = 0

        init(number: Int) { self.number = number }
    }
}

// A claim is made in transactions of a bounded size, each in its own turn of the writing queue: outcomes of operations
// that end in the meantime are written between them. Operations that are to begin wait for the end of the claim,
// because the next agent could mistake them for the other guest's.
extension SpoolWriter {
    /// Starts to record the guest that owns the spool, and to set aside the outcomes of another guest. No operation
    /// begins before that is done.
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

    /// Returns when the claim is done: no outcome of another guest is returned before that.
    ///
    /// - Throws: ``OutboxError`` when the disk fails; the next call retries.
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

    /// Schedules the next transaction of the claim. Only the caller that has set `isClaiming` may call this method.
    func advanceClaimLater() { self.store.writing.async { self.advanceClaim() } }

    /// Makes one transaction of the claim. This method and all that follow run on the writing queue.
    private func advanceClaim() {
        do {
            if try self.claimMore() { self.advanceClaimLater() } else { self.endClaim(nil) }
        } catch {
            self.endClaim(SpoolFailure.error(error, self.store.directory))
        }
    }

    /// Completes the claim without further turns, because the spool is being closed.
    func finishClaim() {
        guard self.state.withLockedValue({ $0.claim != nil }) else { return }
        do {
            while try self.claimMore() {}
            self.endClaim(nil)
        } catch {
            self.endClaim(SpoolFailure.error(error, self.store.directory))
        }
    }

    /// Ends the claim and answers its waiters.
    ///
    /// - Parameter error: why the claim failed; nil when it is done.
    private func endClaim(_ error: OutboxError?) {
        var (waiters, refused): ([CheckedContinuation<Void, any Error>], Deque<SpoolWrite>) = ([], [])
        let (isReplaced, isFirst) = self.state.withLockedValue { state in
            // A new claim arrived just as this one ended.
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

    /// Makes one transaction of the current claim.
    ///
    /// - Returns: whether there is more to do.
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
            self.checkpointLog()
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
            "Set aside the outcomes of another guest",
            metadata: [
                "outcomes": "\(progress.count)", "reason": "\(other.reason)", "spool": "\(self.store.directory.path)",
            ])
    }

    private func claimMore(_ claim: SpoolClaim, _ progress: inout SpoolClaim.Progress) throws -> Bool {
        switch progress.stage {
        case .beginning:
            let origin = try self.recordedOrigin()
            guard let guest = origin.guest, let reason = origin.otherGuestReason(claim.names) else {
                progress.stage = .recording
                return try self.record(claim, &progress)
            }
            let last = try self.change { try SpoolFile.beginClaim(origin, $0) }
            self.state.withLockedValue { $0.origin = nil }
            // If this agent has used another certificate before, all waiting outcomes belong to the guest that the
            // earlier certificate named. If this agent has stored no outcome yet, all are the other guest's too: they
            // were there when the spool was opened, or were retried since. Otherwise only those that were there when
            // the spool was opened are the other guest's.
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
            // This stage runs after the waiting outcomes are set aside, so that outcomes that a conductor rejects in
            // the meantime are marked too.
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

    /// Returns the recorded owner of the spool.
    private func recordedOrigin() throws -> SpoolOrigin {
        try self.unrecordedOrigin() ?? self.store.write { try SpoolOrigin($0) } ?? SpoolOrigin()
    }

    /// Records this guest as the spool's owner, and makes this guest's own outcomes, which were set aside under another
    /// guest's certificate, retryable. If the disk has no space for both, only the owner is recorded.
    ///
    /// - Returns: whether there is more to do.
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
            // A full disk must not keep this guest's outcomes from delivery; the first operation that begins records
            // the owner. If an earlier claim is unfinished, that operation also starts the next claim, which completes
            // it.
            origin.isBeingClaimed = wasBeingClaimed
            self.state.withLockedValue { $0.origin = origin }
            return false
        }
        if let refusal {
            self.store.logger.warning(
                "Failed to make this guest's set-aside outcomes retryable; they stay marked as another guest's",
                metadata: ["error": "\(refusal)", "spool": "\(self.store.directory.path)"])
        }
        return false
    }

    /// Makes a change that no caller has requested.
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

    /// Returns the owner that is not recorded on the disk yet, if there is one. After damage, the file may be another
    /// one than at the start, so its creation time is read again.
    func unrecordedOrigin() -> SpoolOrigin? {
        guard var origin = self.state.withLockedValue({ $0.origin }) else { return nil }
        origin.fileMade = (try? self.store.directory.openForWriting())?.made(SpoolDirectory.file)
        return origin
    }
}
