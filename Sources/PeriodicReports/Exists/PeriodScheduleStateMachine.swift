// SPDX-License-Identifier: Apache-2.0

package import Notifications
package import StatusNotifications

/// The progress through the audit periods, which must survive a restart.
package struct PeriodState: Sendable, Hashable {
    /// The end of the last period that was published and confirmed completely.
    package var publishedUntil: NotificationTimestamp
    /// The end of the period whose publishing has begun; nil when none has. Some of its notifications may have been
    /// sent, so it must be finished unchanged, even if the interval has changed by then.
    package var announcedUntil: NotificationTimestamp?

    /// Creates a state with these values.
    package init(publishedUntil: NotificationTimestamp, announcedUntil: NotificationTimestamp? = nil) {
        self.publishedUntil = publishedUntil
        self.announcedUntil = announcedUntil
    }
}

/// Divides time into audit periods; each one begins where the one before ended.
///
/// It has no clock: the caller passes the time, which may go backwards. Then nothing is due until the clock passes the
/// last end again, and no moment is reported twice.
package struct PeriodScheduleStateMachine: Sendable, Hashable {
    /// The maximum number of periods in one round. If more intervals have ended, the first unannounced period spans the
    /// surplus.
    package static let maximumPeriods = 24

    /// The progress through the audit periods.
    package private(set) var state: PeriodState
    private let interval: Int64

    /// - Parameters:
    ///   - interval: the length of a period; at least a microsecond.
    ///   - state: the progress through the audit periods.
    package init(interval: Duration, state: PeriodState) {
        self.interval = max(1, Int64(interval / .microseconds(1)))
        self.state = state
    }

    /// Returns the periods that have ended, oldest first.
    package func due(at now: NotificationTimestamp) -> [AuditPeriod] {
        var periods: [AuditPeriod] = []
        var beginning = self.state.publishedUntil
        if let announced = self.state.announcedUntil {
            guard announced <= now else { return [] }
            periods.append(AuditPeriod(beginning: beginning, ending: announced))
            beginning = announced
        }
        let over = (now.microsecondsSinceEpoch - beginning.microsecondsSinceEpoch) / self.interval
        let spanned = max(0, over - Int64(Self.maximumPeriods - periods.count))
        var ending = beginning.adding(self.interval * (spanned + 1))
        while ending <= now {
            periods.append(AuditPeriod(beginning: beginning, ending: ending))
            beginning = ending
            ending = beginning.adding(self.interval)
        }
        return periods
    }

    /// Returns when to check again for periods that have ended.
    package func nextCheck(after now: NotificationTimestamp) -> NotificationTimestamp {
        if let announced = self.state.announcedUntil, now < announced { return announced }
        let base = self.state.announcedUntil ?? self.state.publishedUntil
        let over = max(0, now.microsecondsSinceEpoch - base.microsecondsSinceEpoch) / self.interval
        return base.adding(self.interval * (over + 1))
    }

    /// Records that the publishing of a period begins: the first one of ``due(at:)``.
    package mutating func announce(_ period: AuditPeriod) {
        precondition(period.beginning == self.state.publishedUntil, "periods must be announced in order")
        self.state.announcedUntil = period.ending
    }

    /// Records that the announced period was published completely.
    package mutating func publish(_ period: AuditPeriod) {
        precondition(self.state.announcedUntil == period.ending, "a published period must have been announced")
        self.state = PeriodState(publishedUntil: period.ending)
    }
}

extension NotificationTimestamp {
    fileprivate func adding(_ microseconds: Int64) -> NotificationTimestamp {
        NotificationTimestamp(microsecondsSinceEpoch: self.microsecondsSinceEpoch + microseconds)
    }
}
