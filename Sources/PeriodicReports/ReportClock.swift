// SPDX-License-Identifier: Apache-2.0

package import Notifications

/// The time of day, and a way to wait for it. Tests use their own clock and do not wait.
package protocol ReportClock: Sendable {
    /// Returns the current time. An operator or NTP may set it forward or back.
    func now() -> NotificationTimestamp

    /// Returns at this time or earlier; the caller must check the time again.
    ///
    /// - Throws: `CancellationError` when the task is cancelled.
    func sleep(until time: NotificationTimestamp) async throws
}

/// The system's clock.
package struct SystemReportClock: ReportClock {
    /// Creates a system clock.
    package init() {}

    /// Returns the current time.
    package func now() -> NotificationTimestamp { .now() }

    /// Sleeps for at most a minute, so that a change of the clock is noticed.
    package func sleep(until time: NotificationTimestamp) async throws {
        let left = Duration.microseconds(time.microsecondsSinceEpoch - self.now().microsecondsSinceEpoch)
        try await Task.sleep(for: min(max(left, .milliseconds(1)), .seconds(60)))
    }
}
