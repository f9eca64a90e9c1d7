import NIOCore
import Notifications

/// Ties answers to requests on the client's side, and decides when a connection is no good any more. It holds no I/O.
///
/// - Note: `Completion` is generic so that tests need no closures.
struct ClientConnectionStateMachine<Completion> {
    private struct Pending {
        var completion: Completion
        var lineLength: Int
        var deadline: NIODeadline
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

    private let timeout: TimeAmount
    private var pending: [Int: Pending] = [:]
    private var isClosed = false

    /// - Parameter timeout: how long a request may be unanswered before the connection counts as dead.
    init(timeout: TimeAmount) { self.timeout = timeout }

    /// Requests that wait for their answer.
    var inFlight: Int { self.pending.count }

    /// A request is sent.
    ///
    /// - Returns: false when the connection is closed: the completion must be failed by the caller.
    mutating func sent(id: Int, lineLength: Int, completion: Completion, now: NIODeadline) -> Bool {
        guard !self.isClosed else { return false }
        self.pending[id] = Pending(completion: completion, lineLength: lineLength, deadline: now + self.timeout)
        return true
    }

    /// An answer arrived.
    mutating func answered(_ id: RPCID, result: RPCResult) -> AnswerAction {
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

    /// Whether a request has gone unanswered for too long.
    func isOverdue(now: NIODeadline) -> Bool { self.pending.values.contains { $0.deadline <= now } }

    /// The connection is gone.
    ///
    /// - Returns: the requests that will not be answered.
    mutating func closed() -> [Completion] {
        self.isClosed = true
        defer { self.pending = [:] }
        return self.pending.values.map(\.completion)
    }
}
