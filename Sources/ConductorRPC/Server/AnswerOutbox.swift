// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
import NIOCore

/// A queue in which answers from any thread wait for their connection's event loop. One wake-up serves all answers that
/// have gathered.
final class AnswerOutbox: Sendable {
    private struct State {
        var answers: [Answer] = []
        var isClosed = false
    }

    /// One answer. For a request without an id nothing is written, but its place in the window becomes free.
    struct Answer: Sendable {
        var id: RPCID?
        var result: RPCResult
        /// The length of the request, in bytes, by which the answer frees the window.
        var requestBytes = 0
    }

    private let state = NIOLockedValueBox(State())
    /// The connection's event loop.
    let eventLoop: any EventLoop
    private let drain: @Sendable () -> Void

    /// - Parameters:
    ///   - eventLoop: the connection's event loop.
    ///   - drain: called on the event loop when answers wait; it calls ``take()``.
    init(eventLoop: any EventLoop, drain: @escaping @Sendable () -> Void) {
        self.eventLoop = eventLoop
        self.drain = drain
    }

    /// Adds an answer. After ``close()`` answers are dropped, because the connection has ended.
    func append(_ answer: Answer) {
        let isFirst = self.state.withLockedValue { state in
            guard !state.isClosed else { return false }
            state.answers.append(answer)
            return state.answers.count == 1
        }
        if isFirst { self.eventLoop.execute(self.drain) }
    }

    /// Removes and returns all answers that have gathered.
    func take() -> [Answer] {
        self.state.withLockedValue { state in
            defer { state.answers = [] }
            return state.answers
        }
    }

    /// Closes the outbox, which drops its answers and accepts no more.
    func close() {
        self.state.withLockedValue { state in
            state.isClosed = true
            state.answers = []
        }
    }
}
