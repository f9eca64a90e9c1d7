// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
import NIOCore

/// A queue in which calls from any thread wait for their connection's event loop. One wake-up serves all calls that
/// have gathered.
final class CallOutbox: Sendable {
    /// One request, encoded.
    struct Call: Sendable {
        var id: Int
        var line: [UInt8]
        var completion: RPCCompletion
    }

    private enum State {
        case open(nextID: Int, calls: [Call])
        case closed(reason: String, asked: Duration)
    }

    private let state = NIOLockedValueBox(State.open(nextID: 1, calls: []))

    /// Returns an id that no other call of this connection has; nil when the connection is closed.
    func nextID() -> Int? {
        self.state.withLockedValue { state in
            guard case .open(let id, let calls) = state else { return nil }
            state = .open(nextID: id + 1, calls: calls)
            return id
        }
    }

    /// Adds a call.
    ///
    /// - Returns: whether the call was accepted, and whether the event loop must be woken.
    func append(_ call: Call) -> (isTaken: Bool, isFirst: Bool) {
        self.state.withLockedValue { state in
            guard case .open(let id, var calls) = state else { return (false, false) }
            state = .closed(reason: "", asked: .zero)  // So that the append below does not copy the array.
            calls.append(call)
            let isFirst = calls.count == 1
            state = .open(nextID: id, calls: calls)
            return (true, isFirst)
        }
    }

    /// Removes and returns all calls that have gathered.
    func take() -> [Call] {
        self.state.withLockedValue { state in
            guard case .open(let id, let calls) = state else { return [] }
            state = .open(nextID: id, calls: [])
            return calls
        }
    }

    /// Closes the outbox, which accepts no more calls.
    ///
    /// - Parameters:
    ///   - reason: why the connection is closed.
    ///   - asked: the pause that the conductor asked for.
    /// - Returns: the calls that had gathered and will not be sent.
    func close(reason: String, asked: Duration = .zero) -> [Call] {
        self.state.withLockedValue { state in
            guard case .open(_, let calls) = state else { return [] }
            state = .closed(reason: reason, asked: asked)
            return calls
        }
    }

    /// The reason why the outbox is closed.
    var closeReason: String {
        self.state.withLockedValue { state in
            guard case .closed(let reason, _) = state else { return "the connection is open" }
            return reason
        }
    }

    /// The pause that the conductor asked for; zero while the outbox is open.
    var requestedPause: Duration {
        self.state.withLockedValue { state in
            guard case .closed(_, let asked) = state else { return .zero }
            return asked
        }
    }
}
