// SPDX-License-Identifier: Apache-2.0

import Notifications
import PeriodicReports
import StatusNotifications
import Testing

@Suite struct PeriodScheduleStateMachineTests {
    private static let start = time("2026-01-01 00:00:00")

    private static func after(minutes: Int64) -> NotificationTimestamp {
        NotificationTimestamp(microsecondsSinceEpoch: Self.start.microsecondsSinceEpoch + minutes * 60_000_000)
    }

    /// Returns the periods as minutes after the start.
    private static func minutes(_ periods: [AuditPeriod]) -> [[Int64]] {
        periods.map { period in
            [period.beginning, period.ending].map {
                ($0.microsecondsSinceEpoch - Self.start.microsecondsSinceEpoch) / 60_000_000
            }
        }
    }

    private func schedule(announcedUntil: Int64? = nil) -> PeriodScheduleStateMachine {
        PeriodScheduleStateMachine(
            interval: .seconds(600),
            state: PeriodState(
                publishedUntil: Self.start, announcedUntil: announcedUntil.map { Self.after(minutes: $0) }))
    }

    @Test("A period is due when it is over")
    func duePeriods() {
        let schedule = self.schedule()
        #expect(schedule.due(at: Self.after(minutes: 9)).isEmpty)
        #expect(Self.minutes(schedule.due(at: Self.after(minutes: 10))) == [[0, 10]])
        #expect(Self.minutes(schedule.due(at: Self.after(minutes: 35))) == [[0, 10], [10, 20], [20, 30]])
        #expect(schedule.nextCheck(after: Self.after(minutes: 0)) == Self.after(minutes: 10))
        // After a failed round at minute 10, the next round is that of the next interval.
        #expect(schedule.nextCheck(after: Self.after(minutes: 10)) == Self.after(minutes: 20))
        #expect(schedule.nextCheck(after: Self.after(minutes: 35)) == Self.after(minutes: 40))
    }

    @Test("A long backlog becomes 24 periods, of which the first spans the rest")
    func longBacklog() {
        let schedule = self.schedule()
        let all = schedule.due(at: Self.after(minutes: 240))
        #expect(all.count == 24 && Self.minutes(all).first == [0, 10])
        let more = schedule.due(at: Self.after(minutes: 10 * 100 + 5))
        #expect(more.count == 24)
        #expect(Self.minutes(more).first == [0, 770] && Self.minutes(more).last == [990, 1000])
        #expect(zip(more, more.dropFirst()).allSatisfy { $0.ending == $1.beginning })
    }

    /// A part of an announced period may be published already, so it must be finished unchanged, whatever the interval
    /// is now.
    @Test("An announced period keeps its ending")
    func announcedPeriod() {
        let schedule = self.schedule(announcedUntil: 25)
        #expect(schedule.due(at: Self.after(minutes: 24)).isEmpty)
        #expect(schedule.nextCheck(after: Self.after(minutes: 24)) == Self.after(minutes: 25))
        #expect(Self.minutes(schedule.due(at: Self.after(minutes: 45))) == [[0, 25], [25, 35], [35, 45]])
        let more = schedule.due(at: Self.after(minutes: 1000))
        #expect(more.count == 24 && Self.minutes(more)[0] == [0, 25] && Self.minutes(more)[1][0] == 25)
        #expect(Self.minutes(more).last == [985, 995])
    }

    @Test("A clock that is set back makes no period due")
    func clockSetBack() {
        var schedule = self.schedule()
        let period = schedule.due(at: Self.after(minutes: 10))[0]
        schedule.announce(period)
        schedule.publish(period)
        #expect(schedule.due(at: Self.start).isEmpty)
        #expect(schedule.due(at: time("1970-01-01 00:00:00")).isEmpty)
        #expect(schedule.nextCheck(after: Self.start) == Self.after(minutes: 20))
    }
}
