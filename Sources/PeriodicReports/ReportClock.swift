package import Notifications

/// The time of day, and a way to wait for it. Tests have a clock of their own and wait for nothing.
package protocol ReportClock: Sendable {
    /// The time now, which an operator or NTP may set back or forth.
    func now() -> NotificationTimestamp

    /// Returns when it is this time, or some time before: the caller looks again.
    ///
    /// - Throws: `CancellationError` when the task is cancelled.
    func sleep(until time: NotificationTimestamp) async throws
}

/// The system's clock.
package struct SystemReportClock: ReportClock {
    /// The system's clock.
    package init() {}

    /// The time now.
    package func now() -> NotificationTimestamp { .now() }

    /// Sleeps for a minute at most, so that a clock that is set meanwhile is noticed.
    package func sleep(until time: NotificationTimestamp) async throws {
        let left = Duration.microseconds(time.microsecondsSinceEpoch - self.now().microsecondsSinceEpoch)
        try await Task.sleep(for: min(max(left, .milliseconds(1)), .seconds(60)))
    }
}
