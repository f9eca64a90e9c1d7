// SPDX-License-Identifier: Apache-2.0

import BrokerTesting
import LogTesting
import Logging
import NIOConcurrencyHelpers
import Notifications
import Notifier
import PeriodicReports
import ServiceLifecycle
import Testing

/// The reporter with a real RabbitMQ node that becomes silent.
@Suite(.timeLimit(.minutes(2))) struct BrokerReportTests {
    private let logger = Logger.quiet

    private enum Phase { case starting, connecting, silent, returning }

    /// Sets up three periods: the broker answers in the first, is silent in the second, and answers again in the third.
    private func script(_ services: SimulatedServices, _ proxy: TCPProxy) {
        let phase = NIOLockedValueBox(Phase.starting)
        services.with { services in
            services.rows = [instanceRow("a"), instanceRow("b")]
            services.onSleep = { services, _ in
                switch phase.withLockedValue({ $0 }) {
                case .starting:
                    services.now = time("2026-01-02 11:00:00")
                    phase.withLockedValue { $0 = .connecting }
                case .connecting:
                    guard services.stored == PeriodState(publishedUntil: time("2026-01-02 11:00:00")) else { return }
                    proxy.set(.stall)
                    services.now = time("2026-01-02 12:00:00")
                    phase.withLockedValue { $0 = .silent }
                case .silent:
                    #expect(
                        services.stored
                            == PeriodState(
                                publishedUntil: time("2026-01-02 11:00:00"),
                                announcedUntil: time("2026-01-02 12:00:00")))
                    proxy.set(.forward)
                    services.now = time("2026-01-02 13:00:00")
                    phase.withLockedValue { $0 = .returning }
                case .returning:
                    guard services.stored == PeriodState(publishedUntil: time("2026-01-02 13:00:00")) else { return }
                    throw CancellationError()
                }
            }
        }
    }

    @Test("A silent broker loses no period, and repeated messages keep their ids")
    func silentBroker() async throws {
        let broker = try TestBroker.shared()
        let topic = UniqueTopic()
        try await TCPProxy.with(targetPort: UInt16(broker.port)) { proxy in
            var messaging = MessagingConfiguration(transportURL: broker.url(port: proxy.port))
            messaging.exchange = topic.exchange
            messaging.topic = topic.topic
            messaging.publishTimeout = .seconds(1)
            let notifier = try Notifier(names: [.messagingv2], messaging: messaging, logger: self.logger)
            let services = SimulatedServices(now: "2026-01-02 10:00:00")
            self.script(services, proxy)
            let reporter = ExistsReporter(
                configuration: .init(publisherID: "taskmanager.h"), source: services, notifier: notifier,
                state: PeriodState(publishedUntil: services.now()), store: services, clock: services,
                logger: self.logger)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await notifier.run() }
                try await reporter.run()
                group.cancelAll()
            }
            #expect(reporter.counters.counts.failedRounds >= 1)
        }
        var ids: [[String?]: Set<String>] = [:]
        for received in try await BrokerClient(broker).getAll(topic.info) {
            let envelope = try #require(try JSONValue(json: received.body).object)
            let text = try #require(envelope["oslo.message"]?.string)
            let message = try #require(try JSONValue(json: Array(text.utf8)).object)
            #expect(message["event_type"] == "trove.instance.exists" && message["priority"] == "INFO")
            let payload = try #require(message["payload"]?.object)
            let key = ["audit_period_beginning", "audit_period_ending", "instance_id"].map { payload[$0]?.string }
            ids[key, default: []].insert(try #require(message["message_id"]?.string))
        }
        let hours = (10...13).map { "2026-01-02T\($0):00:00.000000Z" }
        let expected = zip(hours, hours.dropFirst()).flatMap { period in
            ["a", "b"].map { [period.0, period.1, $0] }
        }
        #expect(Set(ids.keys) == Set(expected))
        #expect(ids.values.allSatisfy { $0.count == 1 }, "what came twice came under one id")
    }
}
