// SPDX-License-Identifier: Apache-2.0

import DequeModule
import NIOConcurrencyHelpers
package import Notifications

/// An outbox in memory: outcomes that wait in it are lost when the process ends.
public final class MemoryOutbox: Outbox {
    fileprivate struct State {
        var running: Set<MessageID> = []
        var ends: Deque<OutboxEntry> = []
        var errors: Deque<OutboxEntry> = []
        var setAside: Deque<(entry: OutboxEntry, reason: String)> = []
        /// The guest's name in the certificate that is in use; nil before there is one.
        var guest: String?
        /// Sequences of outcomes that were set aside when the certificate changed, and that may have been sent before.
        var changed: Set<Int64> = []
        var lastSequence: Int64 = 0
        var counts = OutboxCounts()
    }

    private let capacity: Int
    private let state = NIOLockedValueBox(State())
    /// The maximum number of outcomes that are stored after they were set aside. Older ones are only counted.
    fileprivate static let setAsideCapacity = 1000

    /// - Parameter capacity: the maximum number of operations that run or wait for delivery, together.
    public init(capacity: Int = 100_000) { self.capacity = capacity }

    /// Records the operation in memory.
    ///
    /// - Throws: ``OutboxError`` with ``OutboxError/Code/full`` when the capacity is reached, and with
    ///   ``OutboxError/Code/alreadyBegun`` when the operation is running.
    package func begin(_ operation: BegunOperation) async throws {
        try self.state.withLockedValue { state in
            guard !state.running.contains(operation.messageID) else {
                throw OutboxError(.alreadyBegun, "The operation of message \(operation.messageID) runs already.")
            }
            guard state.running.count + state.ends.count + state.errors.count < self.capacity else {
                state.counts.refused += 1
                throw OutboxError(
                    .full,
                    "The outbox is full: \(self.capacity) operations run or wait for a conductor. Check that one is reachable."
                )
            }
            state.running.insert(operation.messageID)
            state.counts.begun += 1
        }
    }

    /// Stores the outcome in memory.
    ///
    /// - Throws: ``OutboxError`` with ``OutboxError/Code/notBegun`` when the operation is not running.
    package func finish(_ report: OutcomeReport) async throws {
        try self.state.withLockedValue { state in
            guard state.running.remove(report.messageID) != nil else {
                throw OutboxError(.notBegun, "The operation of message \(report.messageID) is not running.")
            }
            state.lastSequence += 1
            let entry = OutboxEntry(sequence: state.lastSequence, report: report)
            switch report.outcome {
            case .end: state.ends.append(entry)
            case .error: state.errors.append(entry)
            }
        }
    }

    /// Returns waiting outcomes, oldest first.
    package func entries(
        _ phase: OperationPhase?, after sequence: Int64, limit: Int
    ) async throws -> [OutboxEntry] {
        self.state.withLockedValue { state in
            switch phase {
            case .start?: return []
            case .end?: return state.ends.entries(after: sequence, limit)
            case .error?: return state.errors.entries(after: sequence, limit)
            case nil:
                let both = state.ends.entries(after: sequence, limit) + state.errors.entries(after: sequence, limit)
                return Array(both.sorted { $0.sequence < $1.sequence }.prefix(limit))
            }
        }
    }

    /// Removes outcomes that were delivered.
    package func remove(_ sequences: [Int64]) async throws {
        self.state.withLockedValue { state in
            for sequence in sequences {
                if state.take(sequence) != nil {
                    state.counts.delivered += 1
                } else if state.changed.remove(sequence) != nil {
                    // The outcome was in flight when the certificate changed.
                    state.setAside.removeAll { $0.entry.sequence == sequence }
                    state.counts.setAside -= 1
                    state.counts.delivered += 1
                }
            }
        }
    }

    /// Sets the waiting outcomes aside when the certificate names another guest than before: they must not be reported
    /// under the new guest's name.
    package func setGuest(_ names: [String]) {
        guard let name = names.first else { return }
        self.state.withLockedValue { state in
            defer { state.guest = name }
            guard let before = state.guest, !names.contains(before) else { return }
            let reason =
                "No longer sent, and perhaps sent before: the certificate named \(before), and now names \(name)."
            let waiting = state.ends + state.errors
            guard !waiting.isEmpty else { return }
            (state.ends, state.errors) = ([], [])
            for entry in waiting.sorted(by: { $0.sequence < $1.sequence }) {
                state.setAside(entry, reason)
                state.changed.insert(entry.sequence)
            }
        }
    }

    /// Stores an outcome with the reason why no conductor accepts it.
    package func setAside(_ sequence: Int64, reason: String) async throws {
        self.state.withLockedValue { state in
            if let entry = state.take(sequence) { state.setAside(entry, reason) }
        }
    }

    /// Returns the number of operations and outcomes in each state.
    package func counts() async throws -> OutboxCounts {
        self.state.withLockedValue { state in
            var counts = state.counts
            counts.running = state.running.count
            counts.waiting = state.ends.count + state.errors.count
            return counts
        }
    }

    /// The latest outcomes that were set aside, oldest first, each with the reason.
    package var setAside: [(report: OutcomeReport, reason: String)] {
        self.state.withLockedValue { state in state.setAside.map { ($0.entry.report, $0.reason) } }
    }
}

extension MemoryOutbox.State {
    fileprivate mutating func setAside(_ entry: OutboxEntry, _ reason: String) {
        self.counts.setAside += 1
        if self.setAside.count == MemoryOutbox.setAsideCapacity {
            self.changed.remove(self.setAside.removeFirst().entry.sequence)
        }
        self.setAside.append((entry, reason))
    }

    fileprivate mutating func take(_ sequence: Int64) -> OutboxEntry? {
        self.ends.take(sequence) ?? self.errors.take(sequence)
    }
}

extension Deque<OutboxEntry> {
    /// Returns the index of the entry with this sequence, or of the first later one. The entries are sorted.
    fileprivate func index(of sequence: Int64) -> Int {
        var low = 0
        var high = self.count
        while low < high {
            let middle = (low + high) / 2
            if self[middle].sequence < sequence { low = middle + 1 } else { high = middle }
        }
        return low
    }

    fileprivate func entries(after sequence: Int64, _ limit: Int) -> [OutboxEntry] {
        Array(self[self.index(of: sequence + 1)...].prefix(limit))
    }

    fileprivate mutating func take(_ sequence: Int64) -> OutboxEntry? {
        let index = self.index(of: sequence)
        guard index < self.count, self[index].sequence == sequence else { return nil }
        return self.remove(at: index)
    }
}
