package import Logging
package import Notifications
package import Notifier
import ServiceLifecycle

/// Publishes `dbaas.quotas` for each tenant's quota of each resource, once at the start and then at each interval.
///
/// It tells how things are, not what happened in a period: a round that fails is not made up for.
package final class QuotaReporter: Service {
    /// What a reporter needs to know.
    package struct Configuration: Sendable {
        /// How long it waits between two rounds.
        package var interval: Duration
        /// Who publishes: `taskmanager.<host>`.
        package var publisherID: String
        /// The spelling of the event's type.
        package var eventType = QuotaUsage.EventType.quotas
        /// How many notifications may be unconfirmed at once.
        package var window = 256
        /// How long a notification is offered to a driver that cannot take it now: at the conductor's start the broker's
        /// connection is being made still, and the next interval may be far.
        package var patience = Duration.zero

        /// The defaults, for this interval and publisher.
        package init(interval: Duration, publisherID: String) {
            self.interval = interval
            self.publisherID = publisherID
        }
    }

    /// What it has done so far.
    package let counters = ReportCounters()
    private let configuration: Configuration
    private let source: any RowSource
    private let notifier: Notifier
    private let clock: any ReportClock
    private let logger: Logger

    /// - Parameters:
    ///   - configuration: interval and names.
    ///   - source: the quotas and their usage; asked once a round.
    ///   - notifier: sends the notifications.
    ///   - clock: the time.
    ///   - logger: told of every round.
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

    /// Reports until the task is cancelled or a graceful shutdown begins; a round that fails does not end it.
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
                // A clock that was set back would keep us waiting for its old time: that it is set ends the wait.
                while case let now = self.clock.now(), now >= began, now < next {
                    try await self.clock.sleep(until: next)
                }
            } catch {
                return
            }
        }
    }

    private func round(at now: NotificationTimestamp) async {
        self.counters.beganRound()
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
                notifier: self.notifier, limit: self.configuration.window, patience: self.configuration.patience,
                counters: self.counters
            ).emit(usages.count) { index throws(FieldError) in try self.notification(of: usages[index], now) }
            self.logger.info("Reported the quotas", metadata: ["quotas": "\(usages.count)"])
        } catch is CancellationError {
            // Told to stop.
        } catch {
            self.counters.failedRound()
            self.logger.error(
                "A report of quotas failed; the next interval tries again",
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
