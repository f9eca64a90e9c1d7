// SPDX-License-Identifier: Apache-2.0

import Timing

/// A state machine that decides when to read the files again, and what to log about it. It has no files, clock or log.
package struct ReloadStateMachine: Sendable {
    /// The result of a reading.
    package enum Outcome: Sendable {
        /// The files hold what is in use already.
        case same
        /// The files hold something new that can be used.
        case new
        /// The files cannot be used, for this reason. If `remaining` is set, they may become usable after that time.
        case unusable(String, remaining: Duration? = nil)
    }

    /// The action to take after a reading.
    package enum Verdict: Sendable, Equatable {
        /// Do nothing.
        case nothing
        /// Use what was read. `wasUnusable` is whether the files were logged as unusable before.
        case use(wasUnusable: Bool)
        /// Log that the files hold what is in use already: a caller requested the reading, or the files were logged as
        /// unusable before.
        case logUnchanged(wasUnusable: Bool)
        /// Log that the files cannot be used, and keep what is in use.
        case reject(String)
    }

    private let gracePeriod: Duration
    private var lastSeen: FileStamps?
    private var isUnsettled = false
    private var unusableSince: ContinuousClock.Instant?
    private var loggedReason: String?
    /// The time at which unusable files are read again although they look unchanged: the cause may not show in their
    /// stamps.
    private var nextRetry: ContinuousClock.Instant?
    private var pause = Duration.zero
    /// The times between two readings of unusable files that do not change.
    private var backoff = Backoff(minimum: .seconds(1), maximum: .seconds(30), jitter: .none)

    /// - Parameter gracePeriod: how long files may be unusable before that is logged: a change may be in progress.
    package init(gracePeriod: Duration) {
        self.gracePeriod = gracePeriod
    }

    /// Records a check of the files, and decides whether to read them. `isFresh` files are read at the next check too:
    /// another change may not show in their stamps.
    ///
    /// - Returns: whether to read the files now.
    package mutating func recordCheck(
        _ stamps: FileStamps, isRequested: Bool, isFresh: Bool, now: ContinuousClock.Instant
    ) -> Bool {
        defer {
            self.lastSeen = stamps
            self.isUnsettled = isFresh
        }
        if isRequested || stamps != self.lastSeen || self.isUnsettled {
            self.pause = .zero
            self.backoff.reset()
            return true
        }
        return self.nextRetry.map { $0 <= now } ?? false
    }

    /// Records a reading of the files, and decides what to do.
    ///
    /// - Parameters:
    ///   - outcome: the result of the reading.
    ///   - changedDuringReading: whether a file was changed while the files were read, so that they may not belong
    ///     together.
    ///   - isRequested: whether a caller requested the reading.
    ///   - now: the current time.
    package mutating func recordReading(
        _ outcome: Outcome, changedDuringReading: Bool, isRequested: Bool, now: ContinuousClock.Instant
    ) -> Verdict {
        var outcome = outcome
        if changedDuringReading, case .new = outcome { outcome = .unusable("the files changed while they were read") }
        let wasUnusable = self.loggedReason != nil
        self.nextRetry = nil
        switch outcome {
        case .same:
            (self.unusableSince, self.loggedReason) = (nil, nil)
            return isRequested || wasUnusable ? .logUnchanged(wasUnusable: wasUnusable) : .nothing
        case .new:
            (self.unusableSince, self.loggedReason) = (nil, nil)
            return .use(wasUnusable: wasUnusable)
        case .unusable(let reason, let remaining):
            let since = self.unusableSince ?? now
            self.unusableSince = since
            // Retry at each check while a change may be in progress, then with exponential backoff.
            self.nextRetry = now + min(self.pause, remaining ?? self.pause)
            if since.duration(to: now) >= self.gracePeriod {
                self.pause = self.backoff.next()
            }
            let isDue = since.duration(to: now) >= self.gracePeriod && self.loggedReason != reason
            guard isRequested || isDue else { return .nothing }
            self.loggedReason = reason
            return .reject(reason)
        }
    }
}
