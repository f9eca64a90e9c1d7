// SPDX-License-Identifier: Apache-2.0

import GuestAgent
import GuestSpool
import NIOConcurrencyHelpers
import Notifications

/// An outbox that forwards everything to a spool, and records what becomes of the one operation that this process adds to
/// the spool.
final class OutcomeTrackingOutbox: Outbox {
    /// The delivery state of the operation's outcome.
    enum DeliveryState: Equatable {
        /// Its outcome is not in the spool (yet).
        case running
        /// Its outcome could not be written to the spool.
        case notKept(reason: String)
        case waiting
        /// A conductor has accepted it.
        case delivered
        /// No conductor accepts it.
        case setAside(reason: String)
    }

    private struct State {
        var messageID: MessageID?
        var sequence: Int64?
        var deliveryState = DeliveryState.running
    }

    private let spool: any Outbox
    private let state = NIOLockedValueBox(State())

    /// - Parameter spool: the outbox that stores the outcomes.
    init(_ spool: any Outbox) { self.spool = spool }

    /// The operation's message id; nil until the operation has begun.
    var messageID: MessageID? { self.state.withLockedValue { $0.messageID } }
    /// The delivery state of the operation's outcome.
    var deliveryState: DeliveryState { self.state.withLockedValue { $0.deliveryState } }

    func setGuest(_ names: [String]) { self.spool.setGuest(names) }

    func begin(_ operation: BegunOperation) async throws {
        try await self.spool.begin(operation)
        self.state.withLockedValue { $0.messageID = operation.messageID }
    }

    func finish(_ report: OutcomeReport) async throws {
        do {
            try await self.spool.finish(report)
            // The outcome may have been delivered before this call returned.
            self.state.withLockedValue { if $0.deliveryState == .running { $0.deliveryState = .waiting } }
        } catch {
            self.state.withLockedValue { $0.deliveryState = .notKept(reason: "\(error)") }
            throw error
        }
    }

    func entries(_ phase: OperationPhase?, after sequence: Int64, limit: Int) async throws -> [OutboxEntry] {
        let entries = try await self.spool.entries(phase, after: sequence, limit: limit)
        self.state.withLockedValue { state in
            guard let id = state.messageID, let own = entries.first(where: { $0.report.messageID == id }) else {
                return
            }
            state.sequence = own.sequence
        }
        return entries
    }

    func remove(_ sequences: [Int64]) async throws {
        try await self.spool.remove(sequences)
        self.state.withLockedValue { state in
            if let own = state.sequence, sequences.contains(own) { state.deliveryState = .delivered }
        }
    }

    func setAside(_ sequence: Int64, reason: String) async throws {
        try await self.spool.setAside(sequence, reason: reason)
        self.state.withLockedValue { state in
            if state.sequence == sequence { state.deliveryState = .setAside(reason: reason) }
        }
    }

    func counts() async throws -> OutboxCounts { try await self.spool.counts() }

    func verify() async throws { try await self.spool.verify() }

    func whenOutcomesArrive(_ body: @escaping @Sendable () -> Void) { self.spool.whenOutcomesArrive(body) }
}
