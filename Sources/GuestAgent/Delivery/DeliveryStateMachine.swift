// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import GuestSpool
import Timing

/// Decides for one lane which outcomes are sent, when, and what follows from each answer. It holds no I/O and no clock.
///
/// A retryable rejection counts against the outcome when others were published since it was sent, or when the conductor
/// reports an internal error for it: this outcome then has a backoff of its own. A rejection counts against the
/// conductor when nothing was published since: the lane then pauses, unless an outcome that was delayed before fails
/// internally again.
struct DeliveryStateMachine {
    /// The action that follows from an answer.
    enum AnswerAction: Equatable {
        /// The conductor answered for the outcome: remove it.
        case remove(Int64)
        /// No conductor will ever accept the outcome: set it aside with the reason.
        case setAside(Int64, reason: String)
        /// The outcome is sent again after a pause.
        case retry
        /// The outcome is sent again, preferably to another conductor.
        case failover
        /// The outcome is sent again over another connection. This conductor rejects this guest on this connection, for
        /// this reason, and requests a pause of this length.
        case disconnect(reason: String, requestedPause: Duration)
        /// No outcome waits for this answer.
        case ignore
    }

    private struct Waiting {
        var entry: OutboxEntry
        /// The backoff of this outcome alone; nil until a rejection counted against it.
        var backoff: Backoff?
        /// The earliest time to send it; nil for at once.
        var due: ContinuousClock.Instant?
    }

    private struct Sent {
        var outcome: Waiting
        var publishedBefore: Int
        var round: Int
    }

    /// The number of rejected rounds in a row after which another conductor is tried.
    private static let rejectedRoundsBeforeFailover = 3
    /// The longest pause that a conductor can impose on a guest.
    static let maximumRequestedPause = Duration.seconds(300)

    private let window: Int
    private let initialBackoff: Backoff
    private var backoff: Backoff
    private var inFlight: [Int64: Sent] = [:]
    /// The outcomes to send, in the order in which they arose.
    private var waiting: [Waiting] = []
    private var rejectedRounds = 0
    private var published = 0
    /// The number of the current round of sending. A pause ends a round, so that the rejections of outcomes sent in one
    /// round cause one pause.
    private var round = 0
    /// Whether a rate limit caused the pause. A success ends other pauses early, but not this one.
    private var isPauseFromRateLimit = false
    /// The time before which nothing is sent.
    private(set) var pauseEnd: ContinuousClock.Instant?
    /// The sequence number of the last entry that was read from the outbox.
    private(set) var cursor: Int64 = 0

    init(window: Int, backoff: Backoff) {
        self.window = window
        self.initialBackoff = backoff
        self.backoff = backoff
    }

    /// Whether every outcome that was read from the outbox was answered.
    var isIdle: Bool { self.inFlight.isEmpty && self.waiting.isEmpty }

    /// How many more outcomes may be read from the outbox: the window bounds the number in memory.
    var remainingCapacity: Int { max(0, self.window - self.inFlight.count - self.waiting.count) }

    /// Returns when there may be something to send, if no answer arrives before; nil when nothing waits.
    func nextDeadline(now: ContinuousClock.Instant) -> ContinuousClock.Instant? {
        let first = self.waiting.lazy.map { $0.due ?? now }.min()
        return first.map { max($0, self.pauseEnd ?? $0) }
    }

    /// Adds outcomes that were read from the outbox.
    mutating func recordRead(_ entries: [OutboxEntry]) {
        self.waiting += entries.map { Waiting(entry: $0) }
        if let last = entries.last { self.cursor = max(self.cursor, last.sequence) }
    }

    /// Returns the outcomes to send now, oldest first.
    mutating func takeDueOutcomes(now: ContinuousClock.Instant) -> [OutboxEntry] {
        if let pauseEnd, pauseEnd > now { return [] }
        self.endPause()
        guard !self.waiting.isEmpty else { return [] }
        var entries: [OutboxEntry] = []
        var later: [Waiting] = []
        for outcome in self.waiting {
            if let due = outcome.due, due > now {
                later.append(outcome)
            } else {
                entries.append(outcome.entry)
                self.inFlight[outcome.entry.sequence] = Sent(
                    outcome: outcome, publishedBefore: self.published, round: self.round)
            }
        }
        self.waiting = later
        return entries
    }

    /// Records the answer to a call, or the loss of its connection.
    mutating func recordAnswer(
        _ sequence: Int64, _ result: Result<RPCReply, RPCCallError>, now: ContinuousClock.Instant
    ) -> AnswerAction {
        guard let sent = self.inFlight.removeValue(forKey: sequence) else { return .ignore }
        switch result {
        case .success(let reply):
            if reply.provesBrokerHealth { self.recordPublish() }
            return .remove(sequence)
        case .failure(.rejected(let error)) where !error.code.isRetryable:
            return .setAside(sequence, reason: error.description)
        case .failure(.rejected(let error)): return self.recordRejection(sent, error, now)
        case .failure(.connectionLost):
            self.enqueue(sent.outcome)
            return .retry
        }
    }

    /// Records that an outcome of the other lane was published: the conductor works.
    mutating func recordOtherLanePublish() { self.rejectedRounds = 0 }

    /// Records that the connection ended; outcomes that were in flight are sent again.
    mutating func recordConnectionEnd() {
        for sent in self.inFlight.values { self.enqueue(sent.outcome) }
        self.inFlight = [:]
    }

    /// Ends all pauses that the last conductor caused, since the next conductor did not request them.
    mutating func recordConductorChange() {
        self.endPause()
        for index in self.waiting.indices { self.waiting[index].due = nil }
    }

    private mutating func recordPublish() {
        self.published += 1
        self.rejectedRounds = 0
        self.backoff.reset()
        if !self.isPauseFromRateLimit { self.endPause() }
    }

    private mutating func endPause() {
        self.pauseEnd = nil
        self.isPauseFromRateLimit = false
    }

    private mutating func recordRejection(_ sent: Sent, _ error: RPCError, _ now: ContinuousClock.Instant)
        -> AnswerAction
    {
        var outcome = sent.outcome
        let requestedPause = min(.milliseconds(max(0, error.retryAfterMilliseconds ?? 0)), Self.maximumRequestedPause)
        if error.code == .rateLimited {
            self.enqueue(outcome)
            self.pauseEnd = max(self.pauseEnd ?? now, now + max(requestedPause, self.backoff.minimum))
            self.isPauseFromRateLimit = true
            self.round += 1
            return .retry
        }
        if error.code == .unauthenticated {
            // The guest's identity is fixed for the connection: the certificate or the conductor's settings must
            // change.
            self.enqueue(outcome)
            guard sent.round == self.round else { return .retry }
            self.round += 1
            return .disconnect(reason: error.description, requestedPause: requestedPause)
        }
        let isItsOwn = error.code == .internal
        let wasItsOwn = isItsOwn && outcome.backoff != nil
        if isItsOwn || sent.publishedBefore != self.published {
            var backoff = outcome.backoff ?? self.initialBackoff
            outcome.due = now + max(requestedPause, backoff.next())
            outcome.backoff = backoff
        }
        self.enqueue(outcome)
        // Rejections of one burst count as one: the first has begun a pause.
        guard sent.publishedBefore == self.published, sent.round == self.round else { return .retry }
        self.round += 1
        self.rejectedRounds += 1
        // An outcome that fails again on its own shows nothing new about the conductor.
        if !wasItsOwn {
            let pause = max(self.backoff.next(), isItsOwn ? .zero : requestedPause)
            self.pauseEnd = max(self.pauseEnd ?? now, now + pause)
        }
        guard self.rejectedRounds >= Self.rejectedRoundsBeforeFailover else { return .retry }
        self.rejectedRounds = 0
        return .failover
    }

    /// Inserts the outcome so that outcomes are sent again in the order in which they arose.
    private mutating func enqueue(_ outcome: Waiting) {
        let index =
            self.waiting.lastIndex { $0.entry.sequence < outcome.entry.sequence }.map { $0 + 1 }
            ?? self.waiting.startIndex
        self.waiting.insert(outcome, at: index)
    }
}

extension RPCReply {
    /// Whether this answer proves that the broker works. The broker is not involved when the event is switched off.
    var provesBrokerHealth: Bool {
        if case .accepted(_, .published) = self { return true }
        return false
    }
}
