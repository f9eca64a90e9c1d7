import Dispatch

/// When something that was committed without waiting for the disk must be brought there.
///
/// Time counts from the oldest commit that no later one has taken along: where outcomes come all the time, each takes along what
/// began before it, and no sync is made for those alone.
struct UnsyncedCommits {
    /// The oldest commit that may not be on the disk yet.
    private var since: DispatchTime?
    /// Whether a time is set.
    private var isTimeSet = false

    /// Nothing is committed.
    init() {}

    /// Whether all that is committed is on the disk.
    var isEmpty: Bool { self.since == nil }

    /// A transaction was committed.
    mutating func committed(isSynced: Bool, _ now: DispatchTime) {
        self.since = isSynced ? nil : self.since ?? now
    }

    /// When to look whether something has waited for too long, if that is to be set: once at a time.
    ///
    /// - Parameters:
    ///   - delay: how long a commit may wait.
    ///   - earliest: not before that, since the disk has just refused it.
    mutating func timeToSet(after delay: DispatchTimeInterval, earliest: DispatchTime? = nil) -> DispatchTime? {
        guard !self.isTimeSet, let since = self.since else { return nil }
        self.isTimeSet = true
        return max(since + delay, earliest ?? since)
    }

    /// The time that was set has come.
    ///
    /// - Returns: whether something has waited for that long.
    mutating func timeCame(_ now: DispatchTime, delay: DispatchTimeInterval) -> Bool {
        self.isTimeSet = false
        guard let since = self.since else { return false }
        return since + delay <= now
    }
}
