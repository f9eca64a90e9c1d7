// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import GuestSpool
import Notifications
import Timing

/// Decides delivery for two lanes over one connection: one for ends, one for errors. Their notifications go to two
/// queues, and a lane that is blocked must not block the other. It holds no I/O and no clock.
///
/// A lane is not read when the outbox has nothing for it.
struct DeliveryLanesStateMachine {
    /// A read from the outbox that one lane needs.
    struct Reading: Equatable {
        var phase: OperationPhase
        var cursor: Int64
        var limit: Int
    }

    private struct Lane {
        let phase: OperationPhase
        var machine: DeliveryStateMachine
        /// Whether the outbox may have entries of this phase that were not read yet.
        var mayHaveMore = true
    }

    /// The phases whose outcomes a guest reports.
    static let phases: [OperationPhase] = [.end, .error]

    private var lanes: [Lane]
    private var readBackoff: Backoff
    private var readPauseEnd: ContinuousClock.Instant?
    private let pollInterval: Duration
    private var lastPoll: ContinuousClock.Instant

    /// - Parameters:
    ///   - window: the maximum number of outcomes in memory; each lane has half of it, and at least one.
    ///   - backoff: the delays after failures.
    ///   - pollInterval: how often the outbox is read when no arrival was signalled.
    ///   - now: the current time.
    init(window: Int, backoff: Backoff, pollInterval: Duration, now: ContinuousClock.Instant) {
        self.lanes = Self.phases.map {
            Lane(phase: $0, machine: DeliveryStateMachine(window: max(1, window / 2), backoff: backoff))
        }
        self.readBackoff = backoff
        self.pollInterval = pollInterval
        self.lastPoll = now
    }

    /// Whether every outcome of the outbox was read and answered.
    var isIdle: Bool { self.lanes.allSatisfy { $0.machine.isIdle && !$0.mayHaveMore } }

    /// The read position of each lane, when no outcome that was read is waiting or in flight; nil otherwise.
    var idleReadings: [Reading]? {
        guard self.lanes.allSatisfy(\.machine.isIdle) else { return nil }
        return self.lanes.map { Reading(phase: $0.phase, cursor: $0.machine.cursor, limit: 1) }
    }

    /// Returns the time at which something may become due, if nothing happens before.
    func nextDeadline(now: ContinuousClock.Instant) -> ContinuousClock.Instant {
        let times = self.lanes.compactMap { $0.machine.nextDeadline(now: now) } + [self.readPauseEnd].compactMap(\.self)
        return times.reduce(self.lastPoll + self.pollInterval) { min($0, $1) }
    }

    /// Records that the outbox may have new outcomes for these phases.
    mutating func recordArrivals(_ phases: Set<OperationPhase>) {
        for index in self.lanes.indices where phases.contains(self.lanes[index].phase) {
            self.lanes[index].mayHaveMore = true
        }
    }

    /// Returns the reads that are due now.
    ///
    /// - Parameters:
    ///   - now: the current time.
    ///   - isSuspended: whether reading from the outbox is suspended at the moment.
    mutating func takeDueReads(now: ContinuousClock.Instant, isSuspended: Bool) -> [Reading] {
        if now >= self.lastPoll + self.pollInterval {
            // Another process may have put an outcome back into the outbox.
            self.lastPoll = now
            self.recordArrivals(Set(Self.phases))
        }
        if let readPauseEnd, readPauseEnd > now { return [] }
        self.readPauseEnd = nil
        guard !isSuspended else { return [] }
        return self.lanes.filter { $0.mayHaveMore && $0.machine.remainingCapacity > 0 }.map {
            Reading(phase: $0.phase, cursor: $0.machine.cursor, limit: $0.machine.remainingCapacity)
        }
    }

    /// Records the entries that a read returned.
    mutating func recordRead(_ reading: Reading, _ entries: [OutboxEntry]) {
        guard let index = self.index(reading.phase) else { return }
        self.readBackoff.reset()
        self.lanes[index].mayHaveMore = entries.count >= reading.limit
        self.lanes[index].machine.recordRead(entries)
    }

    /// Records that the outbox could not be read. It is read again after the backoff delay; outcomes in memory are sent
    /// meanwhile.
    mutating func recordReadFailure(now: ContinuousClock.Instant) { self.readPauseEnd = now + self.readBackoff.next() }

    /// Returns the outcomes to send now, the oldest of each lane first.
    mutating func takeDueOutcomes(now: ContinuousClock.Instant) -> [(phase: OperationPhase, entry: OutboxEntry)] {
        self.lanes.indices.flatMap { index in
            let phase = self.lanes[index].phase
            return self.lanes[index].machine.takeDueOutcomes(now: now).map { (phase, $0) }
        }
    }

    /// Records the answer to a call, or the loss of its connection.
    mutating func recordAnswer(
        _ phase: OperationPhase, _ sequence: Int64, _ result: Result<RPCReply, RPCCallError>,
        now: ContinuousClock.Instant
    ) -> DeliveryStateMachine.AnswerAction {
        guard let index = self.index(phase) else { return .ignore }
        let action = self.lanes[index].machine.recordAnswer(sequence, result, now: now)
        // Only a publish shows that the conductor reaches its broker.
        if case .success(let reply) = result, reply.provesBrokerHealth, action != .ignore {
            for other in self.lanes.indices where other != index { self.lanes[other].machine.recordOtherLanePublish() }
        }
        return action
    }

    /// Records that the connection ended; outcomes that were in flight are sent again.
    mutating func recordConnectionEnd() {
        for index in self.lanes.indices { self.lanes[index].machine.recordConnectionEnd() }
    }

    /// Ends all pauses that the last conductor caused, since the next conductor did not request them.
    mutating func recordConductorChange() {
        for index in self.lanes.indices { self.lanes[index].machine.recordConductorChange() }
    }

    private func index(_ phase: OperationPhase) -> Int? { self.lanes.firstIndex { $0.phase == phase } }
}
