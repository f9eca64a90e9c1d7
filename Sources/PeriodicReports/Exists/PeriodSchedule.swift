package import Notifications

/// How far the audit periods have come: what must survive a restart.
package struct PeriodState: Sendable, Hashable {
    /// The ending of the last period that was wholly published and confirmed.
    package var publishedUntil: NotificationTimestamp
    /// The ending of the period whose publishing has begun; nil when none has. Some of its notifications may be out, so
    /// that it must be finished as it is, even if the interval is another by then.
    package var announcedUntil: NotificationTimestamp?

    /// A state of these values.
    package init(publishedUntil: NotificationTimestamp, announcedUntil: NotificationTimestamp? = nil) {
        self.publishedUntil = publishedUntil
        self.announcedUntil = announcedUntil
    }
}

/// Cuts time into audit periods, of which each begins where the one before ended.
///
/// It has no clock: it is told the time, which may go backwards. Then nothing is due until the last ending is past once
/// more, and no moment is reported twice.
package struct PeriodSchedule: Sendable, Hashable {
    /// The most periods of one round; the first of them spans what is more.
    package static let maximumPeriods = 24

    /// How far the periods have come.
    package private(set) var state: PeriodState
    private let interval: Int64

    /// - Parameters:
    ///   - interval: how long a period is; at least a microsecond.
    ///   - state: how far the periods have come.
    package init(interval: Duration, state: PeriodState) {
        self.interval = max(1, Int64(interval / .microseconds(1)))
        self.state = state
    }

    /// The periods that are over, the oldest first.
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

    /// When to look for periods that are over, having looked now.
    package func nextLook(after now: NotificationTimestamp) -> NotificationTimestamp {
        if let announced = self.state.announcedUntil, now < announced { return announced }
        let base = self.state.announcedUntil ?? self.state.publishedUntil
        let over = max(0, now.microsecondsSinceEpoch - base.microsecondsSinceEpoch) / self.interval
        return base.adding(self.interval * (over + 1))
    }

    /// The publishing of a period begins: the first of those that are ``due(at:)``.
    package mutating func announce(_ period: AuditPeriod) {
        precondition(period.beginning == self.state.publishedUntil, "periods are published in their order")
        self.state.announcedUntil = period.ending
    }

    /// The period that was announced is wholly published.
    package mutating func publish(_ period: AuditPeriod) {
        precondition(self.state.announcedUntil == period.ending, "what is published was announced")
        self.state = PeriodState(publishedUntil: period.ending)
    }
}

extension NotificationTimestamp {
    fileprivate func adding(_ microseconds: Int64) -> NotificationTimestamp {
        NotificationTimestamp(microsecondsSinceEpoch: self.microsecondsSinceEpoch + microseconds)
    }
}
