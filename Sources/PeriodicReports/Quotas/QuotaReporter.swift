// SPDX-License-Identifier: Apache-2.0

package import Logging
import Notifications
package import Notifier
import ServiceLifecycle
package import StatusNotifications

/// Publishes `dbaas.quotas` for each tenant's quota of each resource, once at the start and then at each interval.
///
/// It reports a current state, not events of a period: a failed round is not repeated.
package final class QuotaReporter: Service {
    /// The configuration of a reporter.
    package struct Configuration: Sendable {
        /// The time from the start of one round to the start of the next.
        package var interval: Duration
        /// The publisher: `taskmanager.<host>`.
        package var publisherID: String
        /// The event's type, in one of its spellings.
        package var eventType = QuotaUsage.EventType.quotas
        /// The maximum number of unconfirmed notifications.
        package var window = 256
        /// How long a notification is retried with a driver that cannot accept it now: when the conductor starts, the
        /// broker connection is not established yet, and the next interval may be far away.
        package var retryTimeout = Duration.zero

        /// Creates a configuration with this interval and publisher, and defaults for the rest.
        package init(interval: Duration, publisherID: String) {
            self.interval = interval
            self.publisherID = publisherID
        }
    }

    /// The reporter's counters.
    package let counters = ReportCounters()
    private let configuration: Configuration
    private let source: any RowSource
    private let notifier: Notifier
    private let clock: any ReportClock
    private let logger: Logger

    /// - Parameters:
    ///   - configuration: interval and names.
    ///   - source: the quotas and their usage; read once a round.
    ///   - notifier: sends the notifications.
    ///   - clock: the time.
    ///   - logger: logs every round.
    package init(
        configuration: Configuration, source: any RowSource, notifier: Notifier,
        clock: any ReportClock = SystemReportClock(), logger: Logger
    ) {
        self.configuration = configuration
        self.source = source
        self.notifier = notifier
        self.clock = clock
        self.logger = logger
    }

    /// Reports until the task is cancelled or a graceful shutdown begins. A round that fails does not end the reporter.
    package func run() async throws {
        await cancelWhenGracefulShutdown { await self.report() }
    }

    private func report() async {
        while !Task.isCancelled {
            let began = self.clock.now()
            await self.round(at: began)
            let next = NotificationTimestamp(
                microsecondsSinceEpoch: began.microsecondsSinceEpoch
                    + Int64(self.configuration.interval / .microseconds(1)))
            do {
                // If the clock is set back, waiting for the old time would take too long: a clock before `began` ends
                // the wait.
                while case let now = self.clock.now(), now >= began, now < next {
                    try await self.clock.sleep(until: next)
                }
            } catch {
                return
            }
        }
    }

    private func round(at now: NotificationTimestamp) async {
        self.counters.countRound()
        do {
            let usages = try await Self.usages(of: self.source.rows())
            for (index, usage) in usages.enumerated() {
                if index % 256 == 255 { await Task.yield() }
                do {
                    _ = try self.notification(of: usage, now)
                } catch {
                    throw RowError(row: index + 1, error: error)
                }
            }
            try await BoundedEmission(
                notifier: self.notifier, limit: self.configuration.window,
                retryTimeout: self.configuration.retryTimeout,
                counters: self.counters
            ).emit(usages.count) { index throws(FieldError) in try self.notification(of: usages[index], now) }
            self.logger.info("Reported quotas", metadata: ["quotas": "\(usages.count)"])
        } catch is CancellationError {
            // The service stops.
        } catch {
            self.counters.failedRound()
            self.logger.error(
                "Failed to report quotas; retrying at the next interval",
                metadata: ["error": "\(error)", "failed_rounds": "\(self.counters.counts.failedRounds)"])
        }
    }

    private static func usages(of rows: [JSONObject]) async throws -> [QuotaUsage] {
        var usages: [QuotaUsage] = []
        usages.reserveCapacity(rows.count)
        for (index, row) in rows.enumerated() {
            if index % 256 == 255 { await Task.yield() }
            do {
                usages.append(try QuotaUsage(row: row))
            } catch {
                throw RowError(row: index + 1, error: error)
            }
        }
        return usages
    }

    private func notification(
        of usage: QuotaUsage, _ now: NotificationTimestamp
    ) throws(FieldError) -> NotificationMessage {
        try usage.notification(
            as: self.configuration.eventType, publisherID: self.configuration.publisherID, timestamp: now)
    }
}
