// SPDX-License-Identifier: Apache-2.0

package import Logging
import Notifications
package import Notifier
import ServiceLifecycle
package import StatusNotifications

/// Publishes `trove.instance.exists` for each instance, once for each audit period.
///
/// A period is reported after it has ended. The identifiers of its notifications are derived from instance and period,
/// and their timestamp is the period's end: a report that is repeated after a crash repeats the same notifications.
package final class ExistsReporter: Service {
    /// The configuration of a reporter.
    package struct Configuration: Sendable {
        /// The length of a period.
        package var interval = Duration.seconds(3600)
        /// The publisher: `taskmanager.<host>`.
        package var publisherID: String
        /// The service ids of the datastore managers.
        package var serviceIDs = ServiceIDs.trove
        /// The maximum number of unconfirmed notifications.
        package var window = 256
        /// How long a notification is retried with a driver that cannot accept it now: when the conductor starts, the
        /// broker connection is not established yet, and the next interval may be far away.
        package var retryTimeout = Duration.zero

        /// Creates a configuration with this publisher, and defaults for the rest.
        package init(publisherID: String) { self.publisherID = publisherID }
    }

    /// The reporter's counters.
    package let counters = ReportCounters()
    private let configuration: Configuration
    private let source: any RowSource
    private let notifier: Notifier
    private let state: PeriodState
    private let store: any PeriodStore
    private let clock: any ReportClock
    private let logger: Logger

    /// - Parameters:
    ///   - configuration: interval and names.
    ///   - source: the instances; read once a round.
    ///   - notifier: sends the notifications.
    ///   - state: the progress through the audit periods.
    ///   - store: persists the state.
    ///   - clock: the time.
    ///   - logger: logs every round.
    package init(
        configuration: Configuration, source: any RowSource, notifier: Notifier, state: PeriodState,
        store: any PeriodStore, clock: any ReportClock = SystemReportClock(), logger: Logger
    ) {
        self.configuration = configuration
        self.source = source
        self.notifier = notifier
        self.state = state
        self.store = store
        self.clock = clock
        self.logger = logger
    }

    /// Reports until the task is cancelled or a graceful shutdown begins. A round that fails does not end the reporter.
    package func run() async throws {
        await cancelWhenGracefulShutdown { await self.report() }
    }

    private func report() async {
        var schedule = PeriodScheduleStateMachine(interval: self.configuration.interval, state: self.state)
        let now = self.clock.now()
        if schedule.state.publishedUntil > now {
            self.logger.warning(
                "The clock is before the end of the last period; no period is reported until the clock has passed it",
                metadata: ["published_until": "\(schedule.state.publishedUntil)", "now": "\(now)"])
        }
        while !Task.isCancelled {
            let periods = schedule.due(at: self.clock.now())
            if !periods.isEmpty { await self.round(periods, &schedule) }
            do {
                try await self.clock.sleep(until: schedule.nextCheck(after: self.clock.now()))
            } catch {
                return
            }
        }
    }

    private func round(_ periods: [AuditPeriod], _ schedule: inout PeriodScheduleStateMachine) async {
        self.counters.countRound()
        do {
            let instances = try await DatabaseInstance.instances(of: self.source.rows())
            try await self.check(instances, periods[0])
            self.warnOfUnknownManagers(instances)
            for period in periods {
                schedule.announce(period)
                // Persist the state before the first notification is sent: after a crash exactly this period must be
                // finished.
                try await self.store.write(schedule.state)
                let existing = instances.filter { $0.createdAt < period.ending }
                try await BoundedEmission(
                    notifier: self.notifier, limit: self.configuration.window,
                    retryTimeout: self.configuration.retryTimeout, counters: self.counters
                ).emit(existing.count) { index throws(FieldError) in
                    try self.notification(of: existing[index], period)
                }
                // The period counts as published even if the store fails; the next announcement writes the state again.
                schedule.publish(period)
                try await self.store.write(schedule.state)
                self.logger.info(
                    "Reported instances of an audit period",
                    metadata: [
                        "instances": "\(existing.count)", "audit_period_beginning": "\(period.beginning)",
                        "audit_period_ending": "\(period.ending)",
                    ])
            }
        } catch is CancellationError {
            // The service stops; the next start continues from the persisted state.
        } catch {
            self.counters.failedRound()
            self.logger.error(
                "Failed to report instances; retrying at the next interval, no period is skipped",
                metadata: [
                    "error": "\(error)", "failed_rounds": "\(self.counters.counts.failedRounds)",
                    "published_until": "\(schedule.state.publishedUntil)",
                ])
        }
    }

    /// Warns of datastore managers without a service id: billing by service id needs one.
    private func warnOfUnknownManagers(_ instances: [DatabaseInstance]) {
        var unknown: [String] = []
        for case .manager(let manager) in instances.lazy.map(\.datastore)
        where !self.configuration.serviceIDs.contains(manager: manager) && unknown.count < 10 {
            guard !unknown.contains(where: { $0.hasSameBytes(as: manager) }) else { continue }
            unknown.append(manager)
        }
        guard !unknown.isEmpty else { return }
        self.logger.warning(
            "Datastore managers have no service id; set reports.service_ids",
            metadata: ["managers": "\(unknown)", "service_id": "\(ServiceIDs.unknown)"])
    }

    /// Checks that every notification can be created before the first one is sent. The notifications are not kept,
    /// since they would take much memory.
    private func check(_ instances: [DatabaseInstance], _ period: AuditPeriod) async throws {
        for (index, instance) in instances.enumerated() {
            if index % 256 == 255 { await Task.yield() }
            do {
                _ = try self.notification(of: instance, period)
            } catch {
                throw RowError(row: index + 1, error: error)
            }
        }
    }

    private func notification(
        of instance: DatabaseInstance, _ period: AuditPeriod
    ) throws(FieldError) -> NotificationMessage {
        let event = InstanceEvent.exists(period)
        let id = MessageID(naming: [
            event.eventType, instance.id, period.beginning.text(.microsecondsUTC),
            period.ending.text(.microsecondsUTC),
        ])
        return try instance.notification(
            of: event, serviceIDs: self.configuration.serviceIDs, publisherID: self.configuration.publisherID,
            messageID: id, timestamp: period.ending)
    }
}
