// SPDX-License-Identifier: Apache-2.0

import LogTesting
import Logging
import NIOConcurrencyHelpers
import Notifications
import Notifier
import PeriodicReports
import StatusNotifications
import Testing

@Suite(.timeLimit(.minutes(1))) struct QuotaReporterTests {
    private static let row: JSONObject = [
        "tenant_id": "t", "resource": "volumes", "in_use": 3, "reserved": "1", "limit": -1,
        "updated": "2026-01-01 00:00:00",
    ]

    private func reporter(
        _ services: SimulatedServices, log: LogRecorder = LogRecorder(), eventType: QuotaUsage.EventType = .quotas,
        retryTimeout: Duration = .zero
    ) -> QuotaReporter {
        var configuration = QuotaReporter.Configuration(interval: .seconds(60), publisherID: "taskmanager.h")
        configuration.eventType = eventType
        configuration.retryTimeout = retryTimeout
        return QuotaReporter(
            configuration: configuration, source: services, notifier: Notifier(drivers: [services]), clock: services,
            logger: log.logger)
    }

    @Test("Each quota is published at the start and at each interval", arguments: QuotaUsage.EventType.allCases)
    func quotasPerInterval(eventType: QuotaUsage.EventType) async throws {
        let services = SimulatedServices(now: "2026-01-02 10:00:00")
        var other = Self.row
        other["tenant_id"] = nil
        other["updated"] = JSONValue.null
        services.with { $0.rows = [Self.row, other] }
        services.run(until: "2026-01-02 10:02:00")
        let reporter = self.reporter(services, eventType: eventType)
        try await reporter.run()
        #expect(reporter.counters.counts == .init(rounds: 3, failedRounds: 0, published: 6))
        let taken = services.with { $0.taken }
        #expect(Set(taken.map(\.messageID)).count == 6)
        #expect(taken.allSatisfy { $0.eventType == eventType.rawValue && $0.publisherID == "taskmanager.h" })
        #expect(
            Set(taken.map(\.payload)) == [
                [
                    "resource": "volumes", "in_use": 3, "reserved": 1, "limit": -1,
                    "updated": "2026-01-01T00:00:00.000000", "tenant_id": "t",
                ],
                ["resource": "volumes", "in_use": 3, "reserved": 1, "limit": -1, "updated": nil],
            ])
    }

    @Test(
        "A row without a required field is named, and nothing is published",
        arguments: ["resource", "in_use", "reserved", "limit", "updated"])
    func missingField(field: String) async throws {
        let services = SimulatedServices(now: "2026-01-02 10:00:00")
        let log = LogRecorder()
        var broken = Self.row
        broken[field] = nil
        services.with { $0.rows = [Self.row, broken] }
        services.run(until: "2026-01-02 10:00:00")
        try await self.reporter(services, log: log).run()
        #expect(services.with { $0.taken.isEmpty })
        #expect(log.entries.last?.metadata["error"]?.contains("row 2: \(field) is missing") == true, "\(log.text)")
    }

    @Test("A broker that is still being connected to fails no report")
    func connectingBroker() async throws {
        let services = SimulatedServices(now: "2026-01-02 10:00:00")
        let isConnected = NIOLockedValueBox(false)
        services.with { services in
            services.rows = [Self.row]
            services.onEmit = { _, _ in
                let isTaken = isConnected.withLockedValue { isConnected in
                    defer { isConnected = true }
                    return isConnected
                }
                return (isTaken, isTaken)
            }
        }
        services.run(until: "2026-01-02 10:00:00")
        let reporter = self.reporter(services, retryTimeout: .seconds(50))
        try await reporter.run()
        #expect(reporter.counters.counts == .init(rounds: 1, failedRounds: 0, published: 1))
    }

    @Test("A stop ends the retries and does not count as a failure")
    func stopDuringRetries() async throws {
        let services = SimulatedServices(now: "2026-01-02 10:00:00")
        let (refused, refuse) = AsyncStream<Void>.makeStream()
        services.with { services in
            services.rows = [Self.row]
            services.onEmit = { _, _ in
                refuse.finish()
                return (false, false)
            }
        }
        let reporter = self.reporter(services, retryTimeout: .seconds(3600))
        let run = Task { try await reporter.run() }
        for await _ in refused {}
        run.cancel()
        try await run.value
        #expect(reporter.counters.counts == .init(rounds: 1, failedRounds: 0, published: 0))
    }

    @Test("A failed round is counted, and the next interval retries")
    func failedRound() async throws {
        let services = SimulatedServices(now: "2026-01-02 10:00:00")
        services.with { services in
            services.rows = [Self.row]
            services.onEmit = { services, _ in services.reads == 1 ? (false, false) : (true, true) }
        }
        services.run(until: "2026-01-02 10:01:00")
        let reporter = self.reporter(services)
        try await reporter.run()
        #expect(reporter.counters.counts == .init(rounds: 2, failedRounds: 1, published: 1))
    }

    @Test("A clock that is set back does not delay the next report")
    func clockSetBack() async throws {
        let services = SimulatedServices(now: "2026-01-02 10:00:00")
        services.with { services in
            services.rows = [Self.row]
            services.onSleep = { services, _ in
                guard services.sleeps == 1 else { throw CancellationError() }
                services.now = time("2025-01-01 00:00:00")
            }
        }
        try await self.reporter(services).run()
        #expect(services.with { $0.taken.count } == 2)
    }
}
