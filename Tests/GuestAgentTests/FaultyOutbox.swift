// SPDX-License-Identifier: Apache-2.0

import GuestSpool
import NIOConcurrencyHelpers
import Notifications

/// An outbox that fails or waits where a test says so, as one on a disk may. A cancelled task has no effect on it.
final class FaultyOutbox: Outbox {
    enum Call: Hashable, Sendable {
        case begin, finish, entries
        /// The entries have been read, and have not been returned.
        case entriesRead
        case remove, setAside
    }

    struct DiskError: Error {}

    private struct State {
        var failures: [Call: Int] = [:]
        var calls: [Call: Int] = [:]
        var begun: [MessageID] = []
        var hooks: [Call: @Sendable () async -> Void] = [:]
        var waiters: [(call: Call, count: Int, continuation: CheckedContinuation<Void, Never>)] = []
    }

    private let outbox: any Outbox
    private let state: NIOLockedValueBox<State>

    /// - Parameters:
    ///   - outbox: the outbox that this one forwards its calls to.
    ///   - failures: how many of each call fail before they succeed.
    init(over outbox: any Outbox, failures: [Call: Int] = [:]) {
        self.outbox = outbox
        self.state = NIOLockedValueBox(State(failures: failures))
    }

    /// Ends all failures, as when the disk works again.
    func repair() { self.state.withLockedValue { $0.failures = [:] } }

    /// Runs the hook from now on before the call does anything.
    func before(_ call: Call, _ hook: @escaping @Sendable () async -> Void) {
        self.state.withLockedValue { $0.hooks[call] = hook }
    }

    /// The operations that were begun.
    var begun: [MessageID] { self.state.withLockedValue { $0.begun } }

    /// Returns how often this call was made.
    func calls(_ call: Call) -> Int { self.state.withLockedValue { $0.calls[call, default: 0] } }

    /// Returns once this call was made this many times.
    func wasCalled(_ call: Call, _ count: Int) async {
        await withCheckedContinuation { continuation in
            let isReady = self.state.withLockedValue { state in
                guard state.calls[call, default: 0] < count else { return true }
                state.waiters.append((call, count, continuation))
                return false
            }
            if isReady { continuation.resume() }
        }
    }

    private func enter(_ call: Call) async throws {
        let (fails, hook, ready) = self.state.withLockedValue { state in
            state.calls[call, default: 0] += 1
            state.failures[call, default: 0] -= 1
            let isReady = { (waiter: (call: Call, count: Int, continuation: CheckedContinuation<Void, Never>)) in
                waiter.call == call && state.calls[call, default: 0] >= waiter.count
            }
            let ready = state.waiters.filter(isReady)
            state.waiters.removeAll(where: isReady)
            return (state.failures[call, default: 0] >= 0, state.hooks[call], ready)
        }
        for waiter in ready { waiter.continuation.resume() }
        await hook?()
        try Task.checkCancellation()
        if fails { throw DiskError() }
    }

    func begin(_ operation: BegunOperation) async throws {
        try await self.enter(.begin)
        try await self.outbox.begin(operation)
        self.state.withLockedValue { $0.begun.append(operation.messageID) }
    }

    func finish(_ report: OutcomeReport) async throws {
        try await self.enter(.finish)
        try await self.outbox.finish(report)
    }

    func entries(_ phase: OperationPhase?, after sequence: Int64, limit: Int) async throws -> [OutboxEntry] {
        try await self.enter(.entries)
        let entries = try await self.outbox.entries(phase, after: sequence, limit: limit)
        try await self.enter(.entriesRead)
        return entries
    }

    func remove(_ sequences: [Int64]) async throws {
        try await self.enter(.remove)
        try await self.outbox.remove(sequences)
    }

    func setAside(_ sequence: Int64, reason: String) async throws {
        try await self.enter(.setAside)
        try await self.outbox.setAside(sequence, reason: reason)
    }

    func counts() async throws -> OutboxCounts { try await self.outbox.counts() }
}
