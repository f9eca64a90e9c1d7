// SPDX-License-Identifier: Apache-2.0

import LogTesting
import NIOConcurrencyHelpers
import Notifications
import Notifier
import PeriodicReports
import Testing

@Suite(.timeLimit(.minutes(1))) struct ExistsReporterTests {
    private func reporter(
        _ services: SimulatedServices, interval: Duration = .seconds(3600), log: LogRecorder = LogRecorder()
    ) -> ExistsReporter {
        var configuration = ExistsReporter.Configuration(publisherID: "taskmanager.h")
        configuration.interval = interval
        return ExistsReporter(
            configuration: configuration, source: services, notifier: Notifier(drivers: [services]),
            state: services.with { $0.stored ?? PeriodState(publishedUntil: $0.now) }, store: services, clock: services,
            logger: log.logger)
    }

    /// Returns the periods of the messages that the broker accepted, in order, each once.
    private func periods(_ services: SimulatedServices, of id: String? = nil) -> [String] {
        var periods: [String] = []
        for message in services.with({ $0.taken }) where id == nil || message.payload["instance_id"]?.string == id {
            let beginning = message.payload["audit_period_beginning"]?.string ?? ""
            let period =
                "\(beginning.dropFirst(11).prefix(5))-"
                + "\((message.payload["audit_period_ending"]?.string ?? "").dropFirst(11).prefix(5))"
            if !periods.contains(period) { periods.append(period) }
        }
        return periods
    }

    @Test("Each instance is reported once in each period")
    func oncePerPeriod() async throws {
        let services = SimulatedServices(now: "2026-01-02 10:00:00")
        services.with { $0.rows = [instanceRow("a"), instanceRow("b", createdAt: "2026-01-02T11:30:00Z")] }
        services.run(until: "2026-01-02 13:00:00")
        let reporter = self.reporter(services)
        try await reporter.run()
        #expect(self.periods(services, of: "a") == ["10:00-11:00", "11:00-12:00", "12:00-13:00"])
        // Created after the first period.
        #expect(self.periods(services, of: "b") == ["11:00-12:00", "12:00-13:00"])
        #expect(reporter.counters.counts == .init(rounds: 3, failedRounds: 0, published: 5))
        #expect(services.with { $0.stored } == PeriodState(publishedUntil: time("2026-01-02 13:00:00")))
        let first = try #require(services.with { $0.taken.first })
        #expect(first.eventType == "trove.instance.exists" && first.publisherID == "taskmanager.h")
        #expect(first.timestamp == time("2026-01-02 11:00:00"))
        #expect(
            first.payload == [
                "tenant_id": "t", "user_id": nil, "instance_id": "a", "instance_name": "shop",
                "instance_type": "m1.small", "instance_type_id": "7", "nova_instance_id": "n",
                "service_id": "2f3ff068-2bfb-4f70-9a9d-a6bb65bc084b", "state": "active",
                "state_description": "active", "created_at": "2026-01-01T00:00:00.000000",
                "launched_at": "2026-01-01T00:00:00.000000", "region": "r", "resource_id": "a",
                "display_name": "shop", "audit_period_beginning": "2026-01-02T10:00:00.000000Z",
                "audit_period_ending": "2026-01-02T11:00:00.000000Z",
            ])
    }

    @Test("A restart continues where the last period ended")
    func continuesAfterRestart() async throws {
        let services = SimulatedServices(now: "2026-01-02 10:00:00.5")
        services.with { $0.rows = [instanceRow("a")] }
        services.run(until: "2026-01-02 11:59:00")
        try await self.reporter(services).run()
        services.with { $0.now = time("2026-01-02 14:30:00") }
        services.run(until: "2026-01-02 15:01:00")
        try await self.reporter(services).run()
        #expect(
            self.periods(services) == ["10:00-11:00", "11:00-12:00", "12:00-13:00", "13:00-14:00", "14:00-15:00"])
        #expect(services.with { $0.stored?.publishedUntil } == time("2026-01-02 15:00:00.5"))
        // One read for all missed periods.
        #expect(services.with { $0.reads } == 3)
    }

    @Test("A source that fails loses no period")
    func failingSource() async throws {
        let services = SimulatedServices(now: "2026-01-02 10:00:00")
        services.with { services in
            services.rows = [instanceRow("a")]
            services.onRead = { if $0.reads <= 2 { throw RowSourceError("no") } }
        }
        services.run(until: "2026-01-02 13:00:00")
        let reporter = self.reporter(services)
        try await reporter.run()
        #expect(self.periods(services) == ["10:00-11:00", "11:00-12:00", "12:00-13:00"])
        #expect(reporter.counters.counts == .init(rounds: 3, failedRounds: 2, published: 3))
    }

    /// The last of many rows is invalid, so none is published.
    @Test(
        "A row without a required field stops the whole round",
        arguments: ["instance_id", "region", "created_at", "state", "tenant_id", "user_id", "instance_type"])
    func missingField(field: String) async throws {
        let services = SimulatedServices(now: "2026-01-02 10:00:00")
        var broken = instanceRow("z")
        broken[field] = nil
        services.with { $0.rows = (0..<1000).map { instanceRow("\($0)") } + [broken] }
        services.run(until: "2026-01-02 11:00:00")
        let reporter = self.reporter(services)
        try await reporter.run()
        #expect(services.with { $0.taken.isEmpty && $0.stored == nil })
        #expect(reporter.counters.counts == .init(rounds: 1, failedRounds: 1, published: 0))
    }

    @Test("A field that a row lacks has a default")
    func rowDefaults() async throws {
        let services = SimulatedServices(now: "2026-01-02 10:00:00")
        var row = instanceRow("a")
        for name in ["instance_name", "datastore_manager"] { row[name] = nil }
        for (name, value): (String, JSONValue) in [
            ("name", "by name"), ("service_id", "s"), ("instance_type_id", 10), ("instance_size", "512"),
            ("volume_size", 3), ("cluster_id", "c"), ("state_description", "Working"), ("colour", "red"),
            ("launched_at", "2026-01-01 00:00:07.25"), ("nova_instance_id", nil), ("user_id", "u"),
        ] { row[name] = value }
        var other = instanceRow("b")
        other["instance_name"] = nil
        other["display_name"] = "by display_name"
        other["instance_type_id"] = .number(JSONNumber(1e30) ?? JSONNumber(0))
        other["resource_id"] = "r"
        services.with { $0.rows = [row, other] }
        services.run(until: "2026-01-02 11:00:00")
        try await self.reporter(services).run()
        let taken = services.with { $0.taken }
        var payload = try #require(taken.first { $0.payload["instance_id"] == "a" }?.payload)
        for name in ["audit_period_beginning", "audit_period_ending"] { payload[name] = nil }
        #expect(
            payload == [
                "tenant_id": "t", "user_id": "u", "instance_id": "a", "instance_name": "by name",
                "instance_type": "m1.small", "instance_type_id": 10, "nova_instance_id": nil, "service_id": "s",
                "state": "active", "state_description": "working", "created_at": "2026-01-01T00:00:00.000000",
                "launched_at": "2026-01-01T00:00:07.250000", "region": "r", "resource_id": "a",
                "display_name": "by name", "cluster_id": "c", "instance_size": 512, "volume_size": 3,
            ])
        let second = try #require(taken.first { $0.payload["instance_id"] == "b" }?.payload)
        #expect(second["display_name"] == "by display_name" && second["instance_name"] == "by display_name")
        #expect(second["instance_type_id"] == "1e+30" && second["resource_id"] == "r")
    }

    @Test("A datastore manager without a service id is logged once")
    func unknownManager() async throws {
        let services = SimulatedServices(now: "2026-01-02 10:00:00")
        let log = LogRecorder()
        var row = instanceRow("b")
        row["datastore_manager"] = "oracle"
        var named = instanceRow("c")
        named["datastore_manager"] = nil
        named["service_id"] = "own"
        services.with { $0.rows = [instanceRow("a"), row, named] }
        services.run(until: "2026-01-02 11:00:00")
        try await self.reporter(services, log: log).run()
        let ids = services.with { $0.taken.map { $0.payload["service_id"]?.string } }
        #expect(Set(ids) == ["2f3ff068-2bfb-4f70-9a9d-a6bb65bc084b", "unknown-service-id-error", "own"])
        #expect(
            log.entries.filter {
                $0.message.hasPrefix("Datastore managers") && $0.metadata["managers"] == #"["oracle"]"#
            }.count == 1)
    }

    @Test("A duplicate instance stops the whole round")
    func duplicateInstance() async throws {
        let services = SimulatedServices(now: "2026-01-02 10:00:00")
        services.with { $0.rows = [instanceRow("a"), instanceRow("b"), instanceRow("a")] }
        services.run(until: "2026-01-02 11:00:00")
        try await self.reporter(services).run()
        #expect(services.with { $0.taken.isEmpty })
    }

    @Test("A broker that is down loses no period, and repeated messages keep their ids")
    func brokerDown() async throws {
        let services = SimulatedServices(now: "2026-01-02 10:00:00")
        services.with { services in
            services.rows = (0..<10).map { instanceRow("\($0)") }
            // It goes down after the third notification of the first period, which it accepted and did not confirm.
            services.onEmit = { services, _ in
                services.now < time("2026-01-02 12:00:00")
                    ? (services.taken.count < 3, services.taken.count < 2) : (true, true)
            }
        }
        services.run(until: "2026-01-02 12:00:00")
        try await self.reporter(services).run()
        let taken = services.with { $0.taken }
        #expect(taken.count == 3 + 20)
        for again in taken[3...] {
            guard let before = taken[..<3].first(where: { $0.messageID == again.messageID }) else { continue }
            #expect(before == again)
        }
        #expect(Set(taken.map(\.messageID)).count == 20)
        #expect(self.periods(services) == ["10:00-11:00", "11:00-12:00"])
    }

    /// The crash is between the last confirm and the write of the state; the interval changes at the restart.
    @Test("A crash before the state is written repeats the period with the same ids")
    func crashBeforeWrite() async throws {
        let services = SimulatedServices(now: "2026-01-02 10:00:00")
        services.with { services in
            services.rows = (0..<5).map { instanceRow("\($0)") }
            services.onWrite = { _, state in state.announcedUntil == nil ? (false, false) : (true, true) }
            services.onSleep = { services, wake in
                guard services.taken.isEmpty else { throw CancellationError() }
                services.now = wake
            }
        }
        try await self.reporter(services).run()
        #expect(services.with { $0.taken.count } == 5)
        #expect(
            services.with { $0.stored }
                == PeriodState(
                    publishedUntil: time("2026-01-02 10:00:00"), announcedUntil: time("2026-01-02 11:00:00")))
        services.with { services in
            services.onWrite = { _, _ in (true, true) }
            services.now = time("2026-01-02 11:20:00")
        }
        services.run(until: "2026-01-02 11:20:00")
        try await self.reporter(services, interval: .seconds(600)).run()
        let taken = services.with { $0.taken }
        try #require(taken.count == 20)
        // In any order: several are in flight at once.
        #expect(Set(taken[..<5]) == Set(taken[5..<10]))
        #expect(self.periods(services) == ["10:00-11:00", "11:00-11:10", "11:10-11:20"])
    }

    @Test("Nothing is published when the announcement cannot be written")
    func failedAnnouncement() async throws {
        let services = SimulatedServices(now: "2026-01-02 10:00:00")
        services.with { services in
            services.rows = [instanceRow("a")]
            services.onWrite = { _, _ in (false, false) }
        }
        services.run(until: "2026-01-02 12:00:00")
        let reporter = self.reporter(services)
        try await reporter.run()
        #expect(services.with { $0.taken.isEmpty })
        #expect(reporter.counters.counts.failedRounds == 2)
    }

    @Test("At most one window of notifications is in flight")
    func windowInFlight() async throws {
        let driver = CountingDriver(heldAt: 256, of: 1024)
        let services = SimulatedServices(now: "2026-01-02 10:00:00")
        services.with { $0.rows = (0..<1024).map { instanceRow("\($0)") } }
        services.run(until: "2026-01-02 11:00:00")
        let reporter = ExistsReporter(
            configuration: .init(publisherID: "p"), source: services, notifier: Notifier(drivers: [driver]),
            state: PeriodState(publishedUntil: services.now()), store: services, clock: services,
            logger: .quiet)
        try await reporter.run()
        #expect(driver.highest == 256)
        #expect(reporter.counters.counts.published == 1024)
    }
}

/// A driver that holds notifications until a number of them is in flight. Before it first completes them, it yields
/// often, so that the reporter could send more.
private final class CountingDriver: NotificationDriver {
    private struct State {
        var held: [@Sendable (Result<Void, DriverError>) -> Void] = []
        var received = 0
        var highest = 0
    }

    let name = "counting"
    private let limit: Int
    private let total: Int
    private let state = NIOLockedValueBox(State())

    init(heldAt limit: Int, of total: Int) {
        self.limit = limit
        self.total = total
    }

    var highest: Int { self.state.withLockedValue { $0.highest } }

    func emit(_ notification: NotificationMessage, completion: @escaping @Sendable (Result<Void, DriverError>) -> Void)
    {
        let (isFull, isFirst) = self.state.withLockedValue { state in
            state.received += 1
            state.held.append(completion)
            state.highest = max(state.highest, state.held.count)
            let isFull = state.held.count == self.limit || state.received == self.total
            return (isFull, state.received == self.limit)
        }
        guard isFull else { return }
        Task {
            if isFirst { for _ in 0..<2000 { await Task.yield() } }
            let released = self.state.withLockedValue { state in
                defer { state.held = [] }
                return state.held
            }
            for completion in released { completion(.success(())) }
        }
    }
}
