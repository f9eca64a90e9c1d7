import ConductorRPC
import GuestSpool
import Notifications

/// Decides for ends and errors, which go in two lanes over one connection: their notifications go to two queues, and
/// what holds one up must not hold up the other. It holds no I/O and no clock.
///
/// A lane that the outbox has nothing for is not read.
struct DeliveryLanes {
    /// What is to be read from the outbox.
    struct Reading: Equatable {
        var phase: OperationPhase
        var cursor: Int64
        var limit: Int
    }

    private struct Lane {
        let phase: OperationPhase
        var machine: DeliveryStateMachine
        /// Whether the outbox may have more than was read.
        var mayHaveMore = true
    }

    /// The phases whose outcomes a guest tells.
    static let phases: [OperationPhase] = [.end, .error]

    private var lanes: [Lane]
    private var readBackoff: Backoff
    private var readPauseEnd: ContinuousClock.Instant?
    private let lookInterval: Duration
    private var lookedAt: ContinuousClock.Instant

    /// - Parameters:
    ///   - window: how many outcomes are in memory; each lane has half of it, and at least one.
    ///   - backoff: the pauses after failures.
    ///   - lookInterval: how often the outbox is looked at when nobody says that something arrived.
    ///   - now: the present.
    init(window: Int, backoff: Backoff, lookInterval: Duration, now: ContinuousClock.Instant) {
        self.lanes = Self.phases.map {
            Lane(phase: $0, machine: DeliveryStateMachine(window: max(1, window / 2), backoff: backoff))
        }
        self.readBackoff = backoff
        self.lookInterval = lookInterval
        self.lookedAt = now
    }

    /// Whether all that the outbox had is settled.
    var isIdle: Bool { self.lanes.allSatisfy { $0.machine.isIdle && !$0.mayHaveMore } }

    /// How far each lane was read, while nothing of what was read waits or is in flight; nil otherwise.
    var idleReadings: [Reading]? {
        guard self.lanes.allSatisfy(\.machine.isIdle) else { return nil }
        return self.lanes.map { Reading(phase: $0.phase, cursor: $0.machine.cursor, limit: 1) }
    }

    /// When there may be something to do, if nothing happens before.
    func wakeUp(now: ContinuousClock.Instant) -> ContinuousClock.Instant {
        let times = self.lanes.compactMap { $0.machine.wakeUp(now: now) } + [self.readPauseEnd].compactMap(\.self)
        return times.reduce(self.lookedAt + self.lookInterval) { min($0, $1) }
    }

    /// The outbox may have something new for these lanes.
    mutating func arrived(_ phases: Set<OperationPhase>) {
        for index in self.lanes.indices where phases.contains(self.lanes[index].phase) {
            self.lanes[index].mayHaveMore = true
        }
    }

    /// What is to be read now.
    ///
    /// - Parameters:
    ///   - now: the present.
    ///   - isHeldUp: whether nothing more may be taken from the outbox at the moment.
    mutating func takeToRead(now: ContinuousClock.Instant, isHeldUp: Bool) -> [Reading] {
        if now >= self.lookedAt + self.lookInterval {
            // Another process may have put an outcome back.
            self.lookedAt = now
            self.arrived(Set(Self.phases))
        }
        if let readPauseEnd, readPauseEnd > now { return [] }
        self.readPauseEnd = nil
        guard !isHeldUp else { return [] }
        return self.lanes.filter { $0.mayHaveMore && $0.machine.room > 0 }.map {
            Reading(phase: $0.phase, cursor: $0.machine.cursor, limit: $0.machine.room)
        }
    }

    /// It was read.
    mutating func read(_ reading: Reading, _ entries: [OutboxEntry]) {
        guard let index = self.index(reading.phase) else { return }
        self.readBackoff.reset()
        self.lanes[index].mayHaveMore = entries.count >= reading.limit
        self.lanes[index].machine.read(entries)
    }

    /// The outbox could not be read: it is read again after a pause, and what is in memory goes on.
    mutating func readingFailed(now: ContinuousClock.Instant) { self.readPauseEnd = now + self.readBackoff.next() }

    /// The outcomes to send now, of each lane the oldest first.
    mutating func takeToSend(now: ContinuousClock.Instant) -> [(phase: OperationPhase, entry: OutboxEntry)] {
        self.lanes.indices.flatMap { index in
            let phase = self.lanes[index].phase
            return self.lanes[index].machine.takeToSend(now: now).map { (phase, $0) }
        }
    }

    /// A call was answered, or its connection was lost.
    mutating func answered(
        _ phase: OperationPhase, _ sequence: Int64, _ result: Result<RPCReply, RPCCallError>,
        now: ContinuousClock.Instant
    ) -> DeliveryStateMachine.AnswerAction {
        guard let index = self.index(phase) else { return .ignore }
        let action = self.lanes[index].machine.answered(sequence, result, now: now)
        if case .remove = action {
            for other in self.lanes.indices where other != index { self.lanes[other].machine.otherLaneWasPublished() }
        }
        return action
    }

    /// The connection is gone; what was in flight is sent again.
    mutating func connectionEnded() {
        for index in self.lanes.indices { self.lanes[index].machine.connectionEnded() }
    }

    /// The next conductor need not wait for what the last one asked for.
    mutating func conductorChanged() {
        for index in self.lanes.indices { self.lanes[index].machine.conductorChanged() }
    }

    private func index(_ phase: OperationPhase) -> Int? { self.lanes.firstIndex { $0.phase == phase } }
}
