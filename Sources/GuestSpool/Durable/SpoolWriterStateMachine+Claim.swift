// SPDX-License-Identifier: Apache-2.0

import DequeModule

/// The claim: when its transactions are made, and which callers wait for its end.
extension SpoolWriterStateMachine {
    /// Resumes a caller that waits for the end of a claim; the error is nil when the claim is done.
    typealias ClaimWaiter = @Sendable (OutboxError?) -> Void

    /// The claim that is not done, and what is known of earlier ones.
    struct Claims {
        /// The claim that is not recorded in the file yet.
        fileprivate(set) var current: SpoolClaim?
        /// The progress of that claim, or of an earlier one that it replaces.
        fileprivate(set) var progress: SpoolClaim.Progress?
        /// Whether turns continue the claim. A claim that failed waits for the next request.
        var isRequested = false
        /// Callers that are resumed when no outcome of another guest waits any more.
        fileprivate var waiters: [ClaimWaiter] = []
        /// The names of the last claim.
        fileprivate(set) var names: [String] = []
        /// The number of claims.
        fileprivate var count = 0
        /// Whether the file has recorded a claim.
        fileprivate(set) var isRecorded = false
    }

    /// Starts a claim, or replaces the current one. No operation begins before it is done. A spool that is being closed
    /// makes the claim first; one that is closed never ends it, so that no caller reads outcomes of another guest.
    mutating func claim(_ names: [String]) -> Wakeup? {
        guard !names.isEmpty else { return nil }
        self.claims.count += 1
        self.claims.current = SpoolClaim(names: names, number: self.claims.count)
        self.claims.names = names
        self.claims.isRequested = true
        self.pending.holdBeginnings()
        return self.scheduleTurn()
    }

    /// The result of a request to wait for the end of the claim.
    enum ClaimWait {
        /// The claim is done; the caller is not added.
        case done
        /// The spool is closed; the caller is not added.
        case failed(OutboxError)
        /// The caller was added.
        case waiting(Wakeup?)
    }

    /// Adds a caller that waits for the end of the claim. A claim that failed is retried.
    mutating func waitForClaim(_ waiter: @escaping ClaimWaiter) -> ClaimWait {
        guard self.claims.current != nil else { return .done }
        guard self.phase == .open else { return .failed(.closed(self.path)) }
        self.claims.waiters.append(waiter)
        self.claims.isRequested = true
        return .waiting(self.scheduleTurn())
    }

    /// Returns the claim's next turn if it is requested.
    func nextClaimTurn() -> Turn? { self.claims.isRequested ? self.claimTurn() : nil }

    /// Returns the claim's next turn.
    func claimTurn() -> Turn? {
        guard let claim = self.claims.current else { return nil }
        if let progress = self.claims.progress, progress.number == claim.number { return .claim(claim, progress) }
        return .claim(claim, SpoolClaim.Progress(number: claim.number))
    }

    /// Records that a transaction of a claim was made.
    ///
    /// - Returns: the callers to resume, because the claim is done.
    mutating func recordClaimProgress(_ progress: SpoolClaim.Progress, isDone: Bool) -> [ClaimWaiter] {
        self.claims.progress = isDone ? nil : progress
        guard isDone else { return [] }
        self.claims.isRecorded = true
        // A new claim may have arrived in the meantime.
        guard self.claims.current?.number == progress.number else { return [] }
        self.claims.current = nil
        self.claims.isRequested = false
        self.pending.releaseBeginnings()
        defer { self.claims.waiters = [] }
        return self.claims.waiters
    }

    /// Records that the claim failed: operations that wait for it do not begin.
    ///
    /// - Returns: the callers that fail.
    mutating func recordClaimFailure(
        _ progress: SpoolClaim.Progress
    ) -> (waiters: [ClaimWaiter], writes: Deque<SpoolWrite>) {
        self.claims.progress = progress
        self.claims.isRequested = false
        self.stopClaimWhileClosing()
        let held = self.pending.removeHeld()
        self.removeBeginnings(held)
        defer { self.claims.waiters = [] }
        return (self.claims.waiters, held)
    }
}
