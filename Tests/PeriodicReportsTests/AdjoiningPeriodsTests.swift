// SPDX-License-Identifier: Apache-2.0

import LogTesting
import NIOConcurrencyHelpers
import Notifications
import Notifier
import PeriodicReports
import RandomTesting
import Testing

/// The periods cover the time without a gap or an overlap, and each instance is reported once in each. This holds
/// whatever fails, however often the daemon is restarted, and with any interval.
@Suite(.timeLimit(.minutes(2))) struct AdjoiningPeriodsTests {
    private static let instances = [
        "a": "2026-01-01T00:00:00Z", "b": "2026-01-02T09:59:59Z", "c": "2026-01-03T00:00:00Z",
        "d": "2026-01-03T06:30:00Z",
    ]

    @Test("Periods have no gap and no overlap under random failures and restarts", arguments: UInt64(1)...60)
    func periodsAdjoin(seed: UInt64) async throws {
        let random = NIOLockedValueBox(Seeded(seed))
        @Sendable func chance(_ percent: Int) -> Bool { random.withLockedValue { $0.chance(percent) } }
        @Sendable func number(_ range: ClosedRange<Int64>) -> Int64 {
            random.withLockedValue { Int64.random(in: range, using: &$0) }
        }
        let start = "2026-01-02 10:00:00"
        let end = time("2026-01-05 10:00:00")
        let services = SimulatedServices(now: start)
        services.with { services in
            services.stored = PeriodState(publishedUntil: time(start))
            services.rows = Self.instances.map { instanceRow($0.key, createdAt: $0.value) }
        }
        var incarnations = 0
        while services.now() < end {
            incarnations += 1
            // After the crash, nothing that the daemon does has any effect.
            let isDead = NIOLockedValueBox(false)
            services.with { services in
                services.onRead = { _ in if chance(10) { throw RowSourceError("no") } }
                services.onEmit = { _, _ in
                    if isDead.withLockedValue({ $0 }) { return (false, false) }
                    if chance(2) { isDead.withLockedValue { $0 = true } }
                    return chance(5) ? (chance(50), false) : (true, true)
                }
                services.onWrite = { _, _ in
                    if isDead.withLockedValue({ $0 }) { return (false, false) }
                    if chance(5) { isDead.withLockedValue { $0 = true } }
                    return chance(5) ? (chance(50), false) : (true, true)
                }
                services.onSleep = { services, wake in
                    guard !isDead.withLockedValue({ $0 }), services.now < end, !chance(10) else {
                        throw CancellationError()
                    }
                    // It wakes early, in time, late, or after the clock was set back.
                    let late = chance(10) ? number(-7_200_000_000...7_200_000_000) : 0
                    services.now = NotificationTimestamp(microsecondsSinceEpoch: wake.microsecondsSinceEpoch + late)
                }
            }
            try await self.reporter(services, interval: .seconds([3600, 600, 5000][Int(number(0...2))])).run()
            let down = chance(10) ? number(0...40) * 3_600_000_000 : number(0...100_000_000)
            services.with {
                $0.now = NotificationTimestamp(microsecondsSinceEpoch: $0.now.microsecondsSinceEpoch + down)
            }
        }
        // One last run without failures.
        services.with { services in
            services.onRead = { _ in }
            services.onEmit = { _, _ in (true, true) }
            services.onWrite = { _, _ in (true, true) }
            services.onSleep = { _, _ in throw CancellationError() }
        }
        try await self.reporter(services, interval: .seconds(3600)).run()
        #expect(incarnations > 1)
        try self.check(services, from: time(start))
    }

    private func reporter(_ services: SimulatedServices, interval: Duration) -> ExistsReporter {
        var configuration = ExistsReporter.Configuration(publisherID: "taskmanager.h")
        configuration.interval = interval
        // A small window, so that a period can be partly published.
        configuration.window = 2
        return ExistsReporter(
            configuration: configuration, source: services, notifier: Notifier(drivers: [services]),
            state: services.with { $0.stored ?? PeriodState(publishedUntil: $0.now) }, store: services, clock: services,
            logger: .quiet)
    }

    private func check(_ services: SimulatedServices, from start: NotificationTimestamp) throws {
        let (taken, stored, now) = services.with { ($0.taken, $0.stored, $0.now) }
        var messages: [MessageID: NotificationMessage] = [:]
        var periods: [String: Set<[NotificationTimestamp]>] = [:]
        for message in taken {
            let before = messages.updateValue(message, forKey: message.messageID)
            #expect(before == nil || before == message, "a repetition is the same")
            let period = try ["audit_period_beginning", "audit_period_ending"].map { name in
                try #require(message.payload[name]?.string.flatMap(NotificationTimestamp.init))
            }
            let id = try #require(message.payload["instance_id"]?.string)
            periods[id, default: []].insert(period)
        }
        #expect(messages.count == periods.values.map(\.count).reduce(0, +), "an instance and a period have one id")
        let all = (periods["a"] ?? []).sorted { $0[0] < $1[0] }
        #expect(all.first?[0] == start)
        #expect(all.last?[1] == stored?.publishedUntil)
        #expect(stored?.announcedUntil == nil)
        #expect(all.allSatisfy { $0[0] < $0[1] && $0[1] <= now })
        #expect(zip(all, all.dropFirst()).allSatisfy { $0[1] == $1[0] }, "no gap, no overlap")
        for (id, createdAt) in Self.instances {
            #expect(periods[id] == Set(all.filter { $0[1] > time(createdAt) }), "instance \(id)")
        }
    }
}
