/// Decides when files are read again, and what is said of it. It holds no file, clock or log.
package struct ReloadStateMachine {
    /// How a reading ended.
    package enum Outcome {
        /// The files hold what is in use.
        case same
        /// They hold something else that can be used.
        case new
        /// They cannot be used, for this reason; perhaps they can after so long.
        case bad(String, remaining: Duration? = nil)
    }

    /// What to do after a reading.
    package enum Verdict: Equatable {
        /// Nothing.
        case nothing
        /// Use what was read. What was said to be bad before is over.
        case use(wasBad: Bool)
        /// Say that the files hold what is in use already: somebody has asked, or they were said to be bad before.
        case tellUnchanged(wasBad: Bool)
        /// Say that the files cannot be used, and go on with what is in use.
        case refuse(String)
    }

    /// Between two readings of bad files that do not change.
    private static let longestPause = Duration.seconds(30)

    private let patience: Duration
    private var lastSeen: FileStamps?
    private var isUnsettled = false
    private var badSince: ContinuousClock.Instant?
    private var said: String?
    /// When files that are bad are read again though they look the same: what is wrong need not show in them.
    private var nextTry: ContinuousClock.Instant?
    private var pause = Duration.zero

    /// - Parameter patience: how long files may be bad before that is said: they may be in the middle of a change.
    package init(patience: Duration) {
        self.patience = patience
    }

    /// Somebody looked at the files.
    ///
    /// - Returns: whether to read the files now.
    package mutating func looked(
        _ stamps: FileStamps, isAsked: Bool, isFresh: Bool, now: ContinuousClock.Instant
    ) -> Bool {
        defer {
            self.lastSeen = stamps
            self.isUnsettled = isFresh
        }
        if isAsked || stamps != self.lastSeen || self.isUnsettled {
            self.pause = .zero
            return true
        }
        return self.nextTry.map { $0 <= now } ?? false
    }

    /// The files were read.
    ///
    /// - Parameters:
    ///   - outcome: what they hold.
    ///   - hasMoved: whether one of them was changed meanwhile, so that they need not belong together.
    ///   - isAsked: whether somebody waits for an answer.
    ///   - now: the present.
    package mutating func read(
        _ outcome: Outcome, hasMoved: Bool, isAsked: Bool, now: ContinuousClock.Instant
    ) -> Verdict {
        var outcome = outcome
        if hasMoved, case .new = outcome { outcome = .bad("the files change while they are read") }
        let wasBad = self.said != nil
        self.nextTry = nil
        switch outcome {
        case .same:
            (self.badSince, self.said) = (nil, nil)
            return isAsked || wasBad ? .tellUnchanged(wasBad: wasBad) : .nothing
        case .new:
            (self.badSince, self.said) = (nil, nil)
            return .use(wasBad: wasBad)
        case .bad(let reason, let remaining):
            let since = self.badSince ?? now
            self.badSince = since
            // Soon and often while they may be in the middle of a change, ever more seldom afterwards.
            self.nextTry = now + min(self.pause, remaining ?? self.pause)
            if since.duration(to: now) >= self.patience {
                self.pause = min(max(self.pause * 2, .seconds(1)), Self.longestPause)
            }
            guard isAsked || since.duration(to: now) >= self.patience, isAsked || self.said != reason else {
                return .nothing
            }
            self.said = reason
            return .refuse(reason)
        }
    }
}
