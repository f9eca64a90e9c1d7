// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Notifications

/// A state machine that ties answers to requests on the client's side, and decides when a connection is dead. It
/// performs no I/O.
///
/// - Note: `Completion` is generic so that tests need no closures.
struct ClientConnectionStateMachine<Completion> {
    private struct Pending {
        var completion: Completion
        var lineLength: Int
        var sent: NIODeadline
    }

    /// The consequence of an answer.
    enum AnswerAction {
        /// Complete this one request.
        case complete(Completion)
        /// Fail these requests for good. The conductor could not read the id, but its error can only concern them.
        case fail([Completion])
        /// Do nothing: no request waits for the answer.
        case ignore
    }

    /// The number of timeouts after which a single request counts as lost. A conductor reads a guest's large outcomes
    /// only as fast as the guest's rate limit, and answers each in turn; but a request without an answer for so long
    /// will never get one.
    private static var longestWait: Int64 { 10 }

    private let timeout: TimeAmount
    private var pending: [Int: Pending] = [:]
    private var lastAnswer = NIODeadline.distantPast
    private var isClosed = false

    /// - Parameter timeout: how long requests may wait while no answer arrives at all, before the connection counts as
    ///   dead. A single request may wait ten times as long.
    init(timeout: TimeAmount) { self.timeout = timeout }

    /// The number of requests that wait for their answer.
    var inFlight: Int { self.pending.count }

    /// Records that a request is sent.
    ///
    /// - Returns: false when the connection is closed; then the caller must fail the completion.
    mutating func sent(id: Int, lineLength: Int, completion: Completion, now: NIODeadline) -> Bool {
        guard !self.isClosed else { return false }
        self.pending[id] = Pending(completion: completion, lineLength: lineLength, sent: now)
        return true
    }

    /// Records an answer, and returns its consequence.
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
            // The conductor skipped the line without reading its id. The limit shows which requests it can have been.
            guard let limit = error.limitBytes else { return .ignore }
            let tooLong = self.pending.filter { $0.value.lineLength > limit }
            for id in tooLong.keys { self.pending[id] = nil }
            return .fail(tooLong.values.map(\.completion))
        case (.null, .failure(let error)) where !error.code.isRetryable && self.pending.count == 1:
            // The error can only concern the one request in flight. Without an answer, that request would be retried
            // without limit.
            defer { self.pending = [:] }
            return .fail(self.pending.values.map(\.completion))
        default: return .ignore
        }
    }

    /// Returns the time limit that a request without an answer has exceeded; nil while none has.
    func exceededBound(now: NIODeadline) -> TimeAmount? {
        guard let oldest = self.pending.values.lazy.map(\.sent).min() else { return nil }
        let longest = self.timeout * Self.longestWait
        if oldest + longest <= now { return longest }
        return max(oldest, self.lastAnswer) + self.timeout <= now ? self.timeout : nil
    }

    /// Records that the connection is closed.
    ///
    /// - Returns: the requests that will not be answered.
    mutating func closed() -> [Completion] {
        self.isClosed = true
        defer { self.pending = [:] }
        return self.pending.values.map(\.completion)
    }
}
