import NIOConcurrencyHelpers
import NIOCore

/// Where calls from any thread wait for their connection's event loop: one wake-up for as many as have gathered.
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

    /// An id that no other call of this connection has, or nil when it is closed.
    func nextID() -> Int? {
        self.state.withLockedValue { state in
            guard case .open(let id, let calls) = state else { return nil }
            state = .open(nextID: id + 1, calls: calls)
            return id
        }
    }

    /// Adds a call.
    ///
    /// - Returns: whether it was taken, and whether the event loop must be woken.
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

    /// All calls that have gathered.
    func take() -> [Call] {
        self.state.withLockedValue { state in
            guard case .open(let id, let calls) = state else { return [] }
            state = .open(nextID: id, calls: [])
            return calls
        }
    }

    /// Takes no more calls.
    ///
    /// - Parameters:
    ///   - reason: why.
    ///   - asked: for how long the conductor wants to be left alone.
    /// - Returns: those that had gathered and will not be sent.
    func close(reason: String, asked: Duration = .zero) -> [Call] {
        self.state.withLockedValue { state in
            guard case .open(_, let calls) = state else { return [] }
            state = .closed(reason: reason, asked: asked)
            return calls
        }
    }

    /// Why the outbox is closed.
    var closeReason: String {
        self.state.withLockedValue { state in
            guard case .closed(let reason, _) = state else { return "the connection is open" }
            return reason
        }
    }

    /// For how long the conductor wants to be left alone; nothing while the outbox is open.
    var askedPause: Duration {
        self.state.withLockedValue { state in
            guard case .closed(_, let asked) = state else { return .zero }
            return asked
        }
    }
}
