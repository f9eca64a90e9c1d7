// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
import Notifications
import Notifier
import PeriodicReports

/// The services of a reporter: a clock, a broker, a disk and a database. A test controls them and makes them fail.
final class SimulatedServices: ReportClock, PeriodStore, NotificationDriver, RowSource {
    struct State {
        var now: NotificationTimestamp
        var rows: [JSONObject] = []
        /// The state on the disk.
        var stored: PeriodState?
        /// The notifications that the broker has accepted, including repetitions.
        var taken: [NotificationMessage] = []
        /// The number of reads of the rows.
        var reads = 0
        /// The number of times that the reporter has gone to sleep.
        var sleeps = 0
        /// Called when the reporter goes to sleep until a time; an error that it throws ends the reporter.
        var onSleep: @Sendable (inout State, NotificationTimestamp) throws -> Void = { $0.now = max($0.now, $1) }
        /// Decides whether the broker accepts a notification, and whether it confirms it.
        var onEmit: @Sendable (inout State, NotificationMessage) -> (isTaken: Bool, isConfirmed: Bool) = { _, _ in
            (true, true)
        }
        /// Decides whether the disk stores a state, and whether the write succeeds.
        var onWrite: @Sendable (inout State, PeriodState) -> (isTaken: Bool, isConfirmed: Bool) = { _, _ in
            (true, true)
        }
        /// Called on each read of the rows; an error that it throws fails the read.
        var onRead: @Sendable (inout State) throws -> Void = { _ in }
    }

    struct DiskFull: Error {}

    let name = "services"
    private let state: NIOLockedValueBox<State>

    init(now: String) { self.state = NIOLockedValueBox(State(now: time(now))) }

    func with<Result>(_ body: (inout State) throws -> Result) rethrows -> Result {
        try self.state.withLockedValue(body)
    }

    /// Ends the reporter when it would sleep past this time.
    func run(until end: String) {
        self.with { state in
            state.onSleep = { state, wake in
                guard wake <= time(end) else { throw CancellationError() }
                state.now = max(state.now, wake)
            }
        }
    }

    func now() -> NotificationTimestamp { self.with { $0.now } }

    func sleep(until time: NotificationTimestamp) async throws {
        try self.with { state in
            state.sleeps += 1
            try state.onSleep(&state, time)
        }
    }

    func write(_ state: PeriodState) async throws {
        let isConfirmed = self.with { services in
            let (isTaken, isConfirmed) = services.onWrite(&services, state)
            if isTaken { services.stored = state }
            return isConfirmed
        }
        if !isConfirmed { throw DiskFull() }
    }

    func emit(_ notification: NotificationMessage, completion: @escaping @Sendable (Result<Void, DriverError>) -> Void)
    {
        let isConfirmed = self.with { services in
            let (isTaken, isConfirmed) = services.onEmit(&services, notification)
            if isTaken { services.taken.append(notification) }
            return isConfirmed
        }
        completion(
            isConfirmed ? .success(()) : .failure(DriverError(.unavailable, driver: self.name, reason: "it is down")))
    }

    func rows() async throws -> [JSONObject] {
        try self.with { services in
            services.reads += 1
            try services.onRead(&services)
            return services.rows
        }
    }
}

/// Returns a moment. A text that cannot be read becomes a moment long ago, which fails the test.
func time(_ text: String) -> NotificationTimestamp {
    NotificationTimestamp(text) ?? NotificationTimestamp(microsecondsSinceEpoch: 0)
}

/// Returns a row of the report of instances.
func instanceRow(_ id: String, createdAt: String = "2026-01-01T00:00:00Z") -> JSONObject {
    [
        "instance_id": .string(id), "instance_name": "shop", "tenant_id": "t", "user_id": nil,
        "instance_type": "m1.small", "instance_type_id": "7", "nova_instance_id": "n", "datastore_manager": "mysql",
        "state": "ACTIVE", "created_at": .string(createdAt), "region": "r",
    ]
}
