/// A stretch of time that a periodic notification reports on: from its beginning up to, not including, its ending.
public struct AuditPeriod: Sendable, Hashable {
    /// The first moment of it.
    public let beginning: NotificationTimestamp
    /// The first moment after it.
    public let ending: NotificationTimestamp

    /// The period between two moments; the ending is the later one.
    public init(beginning: NotificationTimestamp, ending: NotificationTimestamp) {
        self.beginning = beginning
        self.ending = ending
    }
}
