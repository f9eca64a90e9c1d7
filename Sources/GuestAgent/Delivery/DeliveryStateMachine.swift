import ConductorRPC
import GuestSpool

/// Decides for one lane what is sent, when, and what becomes of it. It holds no I/O and no clock.
///
/// A refusal that can pass is laid to the outcome's charge when others were published meanwhile, or when the conductor
/// says that it could not publish this one: then it alone waits. Else it is the conductor that cannot: then the lane
/// pauses.
struct DeliveryStateMachine {
    /// What an answer leads to.
    enum AnswerAction: Equatable {
        /// The conductor answered for the outcome: forget it.
        case remove(Int64)
        /// It will never be taken: keep it with the reason.
        case setAside(Int64, reason: String)
        /// It is sent again after a pause.
        case retry
        /// It is sent again, and another conductor may be better off.
        case retryElsewhere
        /// It is sent again, and over another connection: this conductor takes nothing from this guest over this one, for
        /// this reason, and wants to be left alone for so long.
        case leaveConductor(reason: String, asked: Duration)
        /// Nobody waits for this answer.
        case ignore
    }

    private struct Waiting {
        var entry: OutboxEntry
        /// What it waits between its own attempts; nil until it was refused for itself.
        var backoff: Backoff?
        /// It is not sent before; nil for at once.
        var due: ContinuousClock.Instant?
    }

    private struct Sent {
        var outcome: Waiting
        var publishedBefore: Int
        var round: Int
    }

    /// After so many pauses in a row another conductor is tried.
    private static let refusalsBeforeChange = 3
    /// No conductor can silence a guest for longer.
    static let longestAskedPause = Duration.seconds(300)

    private let window: Int
    private let freshBackoff: Backoff
    private var backoff: Backoff
    private var inFlight: [Int64: Sent] = [:]
    /// In the order they arose.
    private var waiting: [Waiting] = []
    private var refusals = 0
    private var published = 0
    /// Of sending: a pause ends one. Refusals of what one round sent make one pause.
    private var round = 0
    /// Whether the pause was asked of this guest, and not guessed: a success does not end it.
    private var isPauseFirm = false
    /// Nothing is sent before.
    private(set) var pauseEnd: ContinuousClock.Instant?
    /// The last place in the outbox that was read.
    private(set) var cursor: Int64 = 0

    init(window: Int, backoff: Backoff) {
        self.window = window
        self.freshBackoff = backoff
        self.backoff = backoff
    }

    /// Whether everything that was read from the outbox is settled.
    var isIdle: Bool { self.inFlight.isEmpty && self.waiting.isEmpty }

    /// How many more outcomes may be read from the outbox: what is in memory is bounded by the window.
    var room: Int { max(0, self.window - self.inFlight.count - self.waiting.count) }

    /// When there may be something to send, if no answer comes before; nil when nothing waits.
    func wakeUp(now: ContinuousClock.Instant) -> ContinuousClock.Instant? {
        let first = self.waiting.lazy.map { $0.due ?? now }.min()
        return first.map { max($0, self.pauseEnd ?? $0) }
    }

    /// Outcomes were read from the outbox.
    mutating func read(_ entries: [OutboxEntry]) {
        self.waiting += entries.map { Waiting(entry: $0) }
        if let last = entries.last { self.cursor = max(self.cursor, last.sequence) }
    }

    /// The outcomes to send now, oldest first.
    mutating func takeToSend(now: ContinuousClock.Instant) -> [OutboxEntry] {
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

    /// A call was answered, or its connection was lost.
    mutating func answered(
        _ sequence: Int64, _ result: Result<RPCReply, RPCCallError>, now: ContinuousClock.Instant
    ) -> AnswerAction {
        guard let sent = self.inFlight.removeValue(forKey: sequence) else { return .ignore }
        switch result {
        case .success(let reply):
            if reply.provesBroker { self.wasPublished() }
            return .remove(sequence)
        case .failure(.refused(let error)) where !error.code.isRetryable:
            return .setAside(sequence, reason: error.description)
        case .failure(.refused(let error)): return self.refused(sent, error, now)
        case .failure(.connectionLost):
            self.wait(sent.outcome)
            return .retry
        }
    }

    /// The other lane's outcomes are published: the conductor is well.
    mutating func otherLaneWasPublished() { self.refusals = 0 }

    /// The connection is gone; what was in flight is sent again.
    mutating func connectionEnded() {
        for sent in self.inFlight.values { self.wait(sent.outcome) }
        self.inFlight = [:]
    }

    /// The next conductor need not wait for what the last one asked for.
    mutating func conductorChanged() {
        self.endPause()
        for index in self.waiting.indices { self.waiting[index].due = nil }
    }

    private mutating func wasPublished() {
        self.published += 1
        self.refusals = 0
        self.backoff.reset()
        if !self.isPauseFirm { self.endPause() }
    }

    private mutating func endPause() {
        self.pauseEnd = nil
        self.isPauseFirm = false
    }

    private mutating func refused(_ sent: Sent, _ error: RPCError, _ now: ContinuousClock.Instant) -> AnswerAction {
        var outcome = sent.outcome
        let asked = min(.milliseconds(max(0, error.retryAfterMilliseconds ?? 0)), Self.longestAskedPause)
        if error.code == .rateLimited {
            self.wait(outcome)
            self.pauseEnd = max(self.pauseEnd ?? now, now + max(asked, self.backoff.minimum))
            self.isPauseFirm = true
            self.round += 1
            return .retry
        }
        if error.code == .unauthenticated {
            // Who this guest is was settled with the connection: the certificate, or the conductor's settings, must change.
            self.wait(outcome)
            guard sent.round == self.round else { return .retry }
            self.round += 1
            return .leaveConductor(reason: error.description, asked: asked)
        }
        let isItsOwn = error.code == .internal
        let wasItsOwn = isItsOwn && outcome.backoff != nil
        if isItsOwn || sent.publishedBefore != self.published {
            var backoff = outcome.backoff ?? self.freshBackoff
            outcome.due = now + max(asked, backoff.next())
            outcome.backoff = backoff
        }
        self.wait(outcome)
        // Answers to one burst are one refusal: the first has begun a pause.
        guard sent.publishedBefore == self.published, sent.round == self.round else { return .retry }
        self.round += 1
        self.refusals += 1
        // One that comes back to be refused once more tells nothing new of the conductor.
        if !wasItsOwn {
            let pause = max(self.backoff.next(), isItsOwn ? .zero : asked)
            self.pauseEnd = max(self.pauseEnd ?? now, now + pause)
        }
        guard self.refusals >= Self.refusalsBeforeChange else { return .retry }
        self.refusals = 0
        return .retryElsewhere
    }

    /// Outcomes are sent again in the order they arose.
    private mutating func wait(_ outcome: Waiting) {
        let index =
            self.waiting.lastIndex { $0.entry.sequence < outcome.entry.sequence }.map { $0 + 1 }
            ?? self.waiting.startIndex
        self.waiting.insert(outcome, at: index)
    }
}

extension RPCReply {
    /// Whether the broker must be well for this answer; of an event that is switched off it is not asked.
    fileprivate var provesBroker: Bool {
        if case .taken(_, .published) = self { return true }
        return false
    }
}
