import NIOCore
import Notifications

/// Ties answers to requests on the client's side, and decides when a connection is no good any more. It holds no I/O.
///
/// - Note: `Completion` is generic so that tests need no closures.
struct ClientConnectionStateMachine<Completion> {
    private struct Pending {
        var completion: Completion
        var lineLength: Int
        var sent: NIODeadline
    }

    /// What an answer leads to.
    enum AnswerAction {
        /// One request is answered.
        case complete(Completion)
        /// The conductor could not read the id, but these requests must be meant: they can never be taken.
        case refuse([Completion])
        /// Nobody waits for the answer.
        case ignore
    }

    /// A conductor reads a guest's large outcomes as slowly as the guest's rate is, and answers for each in turn; but one request
    /// that is not answered after this many timeouts never will be.
    private static var longestWait: Int64 { 10 }

    private let timeout: TimeAmount
    private var pending: [Int: Pending] = [:]
    private var lastAnswer = NIODeadline.distantPast
    private var isClosed = false

    /// - Parameter timeout: how long requests may wait while no answer arrives at all before the connection counts as dead. A
    ///   single request may wait ten times as long.
    init(timeout: TimeAmount) { self.timeout = timeout }

    /// Requests that wait for their answer.
    var inFlight: Int { self.pending.count }

    /// A request is sent.
    ///
    /// - Returns: false when the connection is closed: the completion must be failed by the caller.
    mutating func sent(id: Int, lineLength: Int, completion: Completion, now: NIODeadline) -> Bool {
        guard !self.isClosed else { return false }
        self.pending[id] = Pending(completion: completion, lineLength: lineLength, sent: now)
        return true
    }

    /// An answer arrived.
    mutating func answered(_ id: RPCID, result: RPCResult, now: NIODeadline) -> AnswerAction {
        let waiting = self.pending.count
        defer { if self.pending.count < waiting { self.lastAnswer = now } }
        switch (id, result) {
        case (.number(let number), _):
            guard let id = Int(number.literal), let pending = self.pending.removeValue(forKey: id) else {
                return .ignore
            }
            return .complete(pending.completion)
        case (.null, .failure(let error)) where error.code == .tooLarge:
            // The conductor could not read the id of a line that it skipped; the limit tells which ones it was.
            guard let limit = error.limitBytes else { return .ignore }
            let tooLong = self.pending.filter { $0.value.lineLength > limit }
            for id in tooLong.keys { self.pending[id] = nil }
            return .refuse(tooLong.values.map(\.completion))
        case (.null, .failure(let error)) where !error.code.isRetryable && self.pending.count == 1:
            // It can only be about the one request there is. Unanswered, that would be sent again for ever.
            defer { self.pending = [:] }
            return .refuse(self.pending.values.map(\.completion))
        default: return .ignore
        }
    }

    /// Returns the bound that a request has waited for without an answer; nil while none has waited too long.
    func exceededBound(now: NIODeadline) -> TimeAmount? {
        guard let oldest = self.pending.values.lazy.map(\.sent).min() else { return nil }
        let longest = self.timeout * Self.longestWait
        if oldest + longest <= now { return longest }
        return max(oldest, self.lastAnswer) + self.timeout <= now ? self.timeout : nil
    }

    /// The connection is gone.
    ///
    /// - Returns: the requests that will not be answered.
    mutating func closed() -> [Completion] {
        self.isClosed = true
        defer { self.pending = [:] }
        return self.pending.values.map(\.completion)
    }
}
