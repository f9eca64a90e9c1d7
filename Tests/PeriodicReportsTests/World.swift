// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
import Notifications
import Notifier
import PeriodicReports

/// What a reporter meets: a clock, a broker, a disk and a database, all of which a test moves and breaks at will.
final class World: ReportClock, PeriodStore, NotificationDriver, RowSource {
    struct State {
        var now: NotificationTimestamp
        var rows: [JSONObject] = []
        /// What is on the disk.
        var stored: PeriodState?
        /// What the broker has taken, repetitions included.
        var taken: [NotificationMessage] = []
        /// How often the rows were asked for.
        var reads = 0
        /// How often the reporter has gone to sleep.
        var sleeps = 0
        /// Called when the reporter goes to sleep until a time; what it throws ends the reporter.
        var onSleep: @Sendable (inout State, NotificationTimestamp) throws -> Void = { $0.now = max($0.now, $1) }
        /// Whether the broker takes a notification, and whether it says so.
        var onEmit: @Sendable (inout State, NotificationMessage) -> (isTaken: Bool, isConfirmed: Bool) = { _, _ in
            (true, true)
        }
        /// Whether the disk takes a state, and whether it says so.
        var onWrite: @Sendable (inout State, PeriodState) -> (isTaken: Bool, isConfirmed: Bool) = { _, _ in
            (true, true)
        }
        /// What the database says of the rows.
        var onRead: @Sendable (inout State) throws -> Void = { _ in }
    }

    struct DiskFull: Error {}

    let name = "world"
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
        let isConfirmed = self.with { world in
            let (isTaken, isConfirmed) = world.onWrite(&world, state)
            if isTaken { world.stored = state }
            return isConfirmed
        }
        if !isConfirmed { throw DiskFull() }
    }

    func emit(_ notification: NotificationMessage, completion: @escaping @Sendable (Result<Void, DriverError>) -> Void)
    {
        let isConfirmed = self.with { world in
            let (isTaken, isConfirmed) = world.onEmit(&world, notification)
            if isTaken { world.taken.append(notification) }
            return isConfirmed
        }
        completion(
            isConfirmed ? .success(()) : .failure(DriverError(.unavailable, driver: self.name, reason: "it is down")))
    }

    func rows() async throws -> [JSONObject] {
        try self.with { world in
            world.reads += 1
            try world.onRead(&world)
            return world.rows
        }
    }
}

/// A moment; one that cannot be read is long ago, and fails the test.
func time(_ text: String) -> NotificationTimestamp {
    NotificationTimestamp(text) ?? NotificationTimestamp(microsecondsSinceEpoch: 0)
}

/// A row of the report of instances.
func instanceRow(_ id: String, createdAt: String = "2026-01-01T00:00:00Z") -> JSONObject {
    [
        "instance_id": .string(id), "instance_name": "shop", "tenant_id": "t", "user_id": nil,
        "instance_type": "m1.small", "instance_type_id": "7", "nova_instance_id": "n", "datastore_manager": "mysql",
        "state": "ACTIVE", "created_at": .string(createdAt), "region": "r",
    ]
}
