import NIOConcurrencyHelpers
import NIOCore

/// Where answers from any thread wait for their connection's event loop: one wake-up for as many as have gathered.
final class AnswerOutbox: Sendable {
    private struct State {
        var answers: [Answer] = []
        var isClosed = false
    }

    /// One answer; a request without an id leaves none but gives its place in the window back.
    struct Answer: Sendable {
        var id: RPCID?
        var result: RPCResult
        /// The length of the request, whose place in the window the answer gives back.
        var requestBytes = 0
    }

    private let state = NIOLockedValueBox(State())
    /// The connection's.
    let eventLoop: any EventLoop
    private let drain: @Sendable () -> Void

    /// - Parameters:
    ///   - eventLoop: the connection's event loop.
    ///   - drain: called on the event loop when answers wait; it calls ``take()``.
    init(eventLoop: any EventLoop, drain: @escaping @Sendable () -> Void) {
        self.eventLoop = eventLoop
        self.drain = drain
    }

    /// Adds an answer. After ``close()`` it is dropped: nobody is there to read it.
    func append(_ answer: Answer) {
        let isFirst = self.state.withLockedValue { state in
            guard !state.isClosed else { return false }
            state.answers.append(answer)
            return state.answers.count == 1
        }
        if isFirst { self.eventLoop.execute(self.drain) }
    }

    /// All answers that have gathered.
    func take() -> [Answer] {
        self.state.withLockedValue { state in
            defer { state.answers = [] }
            return state.answers
        }
    }

    /// Takes no more answers.
    func close() {
        self.state.withLockedValue { state in
            state.isClosed = true
            state.answers = []
        }
    }
}
