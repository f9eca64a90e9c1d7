import ConductorRPC
import GuestSpool

/// Decides what is sent, when, and what becomes of it. It holds no I/O and no clock.
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
        /// Nobody waits for this answer.
        case ignore
    }

    /// After so many retryable refusals in a row another conductor is tried.
    private static let refusalsBeforeChange = 3
    /// No conductor can silence a guest for longer.
    private static let longestAskedPause = Duration.seconds(300)

    private let window: Int
    private var backoff: Backoff
    private var inFlight: [Int64: OutboxEntry] = [:]
    private var retries: [OutboxEntry] = []
    private var refusals = 0
    /// Nothing is sent before.
    private(set) var pauseEnd: ContinuousClock.Instant?
    /// The last place in the outbox that was read.
    private(set) var cursor: Int64 = 0

    init(window: Int, backoff: Backoff) {
        self.window = window
        self.backoff = backoff
    }

    /// Whether everything that was read from the outbox is settled.
    var isIdle: Bool { self.inFlight.isEmpty && self.retries.isEmpty }

    /// How many more outcomes may be read from the outbox: what is in memory is bounded by the window.
    var room: Int { self.window - self.inFlight.count - self.retries.count }

    /// Outcomes were read from the outbox.
    mutating func read(_ entries: [OutboxEntry]) {
        self.retries += entries
        if let last = entries.last { self.cursor = max(self.cursor, last.sequence) }
    }

    /// The outcomes to send now.
    mutating func takeToSend(now: ContinuousClock.Instant) -> [OutboxEntry] {
        if let pauseEnd, pauseEnd > now { return [] }
        self.pauseEnd = nil
        defer { self.retries = [] }
        for entry in self.retries { self.inFlight[entry.sequence] = entry }
        return self.retries
    }

    /// A call was answered, or its connection was lost.
    mutating func answered(
        _ sequence: Int64, _ result: Result<RPCReply, RPCCallError>, now: ContinuousClock.Instant
    ) -> AnswerAction {
        guard let entry = self.inFlight.removeValue(forKey: sequence) else { return .ignore }
        switch result {
        case .success:
            self.refusals = 0
            self.backoff.reset()
            return .remove(sequence)
        case .failure(.refused(let error)) where !error.code.isRetryable:
            // An answer all the same: the conductor and its broker are well.
            self.refusals = 0
            return .setAside(sequence, reason: error.description)
        case .failure(.refused(let error)):
            self.retry(entry)
            // Answers to one burst are one refusal: the pause that the first began is still running.
            if let pauseEnd, pauseEnd > now { return .retry }
            self.refusals += 1
            let asked = min(.milliseconds(error.retryAfterMilliseconds ?? 0), Self.longestAskedPause)
            self.pauseEnd = now + max(self.backoff.next(), asked)
            guard self.refusals >= Self.refusalsBeforeChange else { return .retry }
            self.refusals = 0
            return .retryElsewhere
        case .failure(.connectionLost):
            self.retry(entry)
            return .retry
        }
    }

    /// The next conductor need not wait for what the last one asked for.
    mutating func conductorChanged() { self.pauseEnd = nil }

    /// Outcomes are sent again in the order they arose.
    private mutating func retry(_ entry: OutboxEntry) {
        let index = self.retries.firstIndex { $0.sequence > entry.sequence } ?? self.retries.endIndex
        self.retries.insert(entry, at: index)
    }
}
