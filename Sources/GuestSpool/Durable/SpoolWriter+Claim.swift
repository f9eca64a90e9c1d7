// SPDX-License-Identifier: Apache-2.0

import DequeModule
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
        self.schedule(self.machine.withLockedValue { $0.claim(names) })
    }

    /// Returns when the claim is done: no outcome of another guest is returned before that.
    ///
    /// - Throws: ``OutboxError`` when the disk fails; the next call retries.
    func claimed() async throws {
        guard self.machine.withLockedValue({ $0.claims.current != nil }) else { return }
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            let wait = self.machine.withLockedValue { machine in
                machine.waitForClaim { error in
                    if let error { continuation.resume(throwing: error) } else { continuation.resume() }
                }
            }
            switch wait {
            case .done: continuation.resume()
            case .failed(let error): continuation.resume(throwing: error)
            case .waiting(let wakeup): self.schedule(wakeup)
            }
        }
    }

    /// Makes one transaction of the claim. This method and all that follow run on the writing queue.
    func advance(_ claim: SpoolClaim, _ progress: SpoolClaim.Progress) {
        let earlier = self.machine.withLockedValue { $0.claims.progress }
        if let earlier, earlier.number != claim.number, earlier.count > 0 { self.logClaim(earlier) }
        var progress = progress
        do {
            let isMore = try self.claimMore(claim, &progress)
            self.checkpointLog()
            if !isMore { self.logClaim(progress) }
            let waiters = self.machine.withLockedValue { [progress] machine in
                machine.recordClaimProgress(progress, isDone: !isMore)
            }
            for waiter in waiters { waiter(nil) }
        } catch {
            let failure = SpoolFailure.error(error, self.store.directory)
            let (waiters, writes) = self.machine.withLockedValue { [progress] in $0.recordClaimFailure(progress) }
            for waiter in waiters { waiter(failure) }
            for write in writes { write.answer(.failure(failure)) }
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
            self.machine.withLockedValue { $0.unrecordedOrigin = nil }
            // If this agent has used another certificate before, all waiting outcomes belong to the guest that the
            // earlier certificate named. If this agent has stored no outcome yet, all are the other guest's too: they
            // were there when the spool was opened, or were retried since. Otherwise only those that were there when
            // the spool was opened are the other guest's.
            let (hasClaimed, hasStoredOutcomes) = self.machine.withLockedValue {
                ($0.claims.isRecorded, $0.hasStoredOutcomes)
            }
            progress.lastSequence = hasClaimed || !hasStoredOutcomes ? last : self.store.takeover.lastSequence
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
        if isRecorded, self.machine.withLockedValue({ $0.unrecordedOrigin == nil }) { return false }
        origin.guest = name
        var refusal: (any Error)?
        if !isRecorded {
            do {
                let after = progress.released
                let end = try self.change { try SpoolFile.record(origin, own: claim.names, after: after, $0) }
                self.machine.withLockedValue { $0.unrecordedOrigin = nil }
                if let end { progress.released = end }
                return end != nil
            } catch  where SpoolFailure(error) != .damage {
                refusal = error
            }
        }
        do {
            origin.isBeingClaimed = false
            try self.change { [origin] in try SpoolFile.record(origin, $0) }
            self.machine.withLockedValue { $0.unrecordedOrigin = nil }
        } catch  where progress.other == nil && SpoolFailure(error) != .damage {
            // A full disk must not keep this guest's outcomes from delivery; the first operation that begins records
            // the owner. If an earlier claim is unfinished, that operation also starts the next claim, which completes
            // it.
            origin.isBeingClaimed = wasBeingClaimed
            self.machine.withLockedValue { $0.unrecordedOrigin = origin }
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
                try self.checkpointSuspectLog(db)
                return try body(db)
            }
        } catch {
            if SpoolFailure.isFailedWrite(error) { self.markLogSuspect() }
            throw error
        }
    }

    /// Returns the owner that is not recorded on the disk yet, if there is one. After damage, the file may be another
    /// one than at the start, so its creation time is read again.
    func unrecordedOrigin() -> SpoolOrigin? {
        guard var origin = self.machine.withLockedValue({ $0.unrecordedOrigin }) else { return nil }
        origin.fileMade = (try? self.store.directory.openForWriting())?.made(SpoolDirectory.file)
        return origin
    }
}
