// SPDX-License-Identifier: Apache-2.0

import Notifications
import Timing

/// The answered outcomes whose result is not yet recorded in the outbox. It holds no I/O and no clock.
///
/// An outbox may reject writes although it can be read, as on a disk that is full or read-only. Delivered outcomes are
/// then remembered here, and not sent again.
struct PendingAcknowledgementsStateMachine {
    /// An outcome that no conductor will accept.
    struct Rejection: Equatable, Sendable {
        var sequence: Int64
        var reason: String
    }

    /// The changes to record in the outbox at one time.
    struct Batch: Equatable, Sendable {
        var removals: [Int64] = []
        var rejections: [Rejection] = []

        var isEmpty: Bool { self.removals.isEmpty && self.rejections.isEmpty }
    }

    /// The limits above which no more is read from the outbox. The outcomes in memory then add at most one window.
    private static let removalLimit = 65_536
    private static let rejectionLimit = 1024
    private static let batchLimit = 1024
    /// The longest reason, in bytes of JSON: a conductor chooses its text.
    private static let reasonLimit = 1000

    private var pending = Batch()
    private var inFlight: Batch?
    private var backoff: Backoff
    private var pauseEnd: ContinuousClock.Instant?

    init(backoff: Backoff) { self.backoff = backoff }

    /// Whether every result is recorded in the outbox.
    var isEmpty: Bool { self.pending.isEmpty && self.inFlight == nil }

    /// Whether more outcomes may be delivered.
    var isBelowLimit: Bool {
        self.pending.removals.count < Self.removalLimit && self.pending.rejections.count < Self.rejectionLimit
    }

    /// The time to retry after a failure; nil when nothing is pending or the last batch did not fail.
    var nextDeadline: ContinuousClock.Instant? { self.pending.isEmpty ? nil : self.pauseEnd }

    /// Adds outcomes that a conductor answered for.
    mutating func addRemovals(_ sequences: [Int64]) { self.pending.removals += sequences }

    /// Adds an outcome that no conductor will accept.
    mutating func addRejection(_ sequence: Int64, reason: String) {
        self.pending.rejections.append(
            Rejection(sequence: sequence, reason: TextTruncation.beginning(of: reason, encodedLength: Self.reasonLimit))
        )
    }

    /// Returns the next batch to record; nil when there is none, a batch is in flight, or the pause after a failure
    /// lasts.
    mutating func takeBatch(now: ContinuousClock.Instant) -> Batch? {
        guard self.inFlight == nil, !self.pending.isEmpty else { return nil }
        if let pauseEnd, pauseEnd > now { return nil }
        let batch = Batch(
            removals: Array(self.pending.removals.prefix(Self.batchLimit)),
            rejections: Array(self.pending.rejections.prefix(Self.batchLimit)))
        self.pending.removals.removeFirst(batch.removals.count)
        self.pending.rejections.removeFirst(batch.rejections.count)
        self.inFlight = batch
        return batch
    }

    /// Records the result of the batch that was in flight; `failed` is the part that could not be recorded.
    mutating func recordResult(failed: Batch, now: ContinuousClock.Instant) {
        self.inFlight = nil
        if failed.isEmpty {
            self.backoff.reset()
            self.pauseEnd = nil
        } else {
            self.pauseEnd = now + self.backoff.next()
            // Failed removals go behind the others, so that one that always fails does not block them.
            self.pending.removals += failed.removals
            // The first rejection is the one that failed; those after it were not tried.
            self.pending.rejections += failed.rejections.dropFirst() + failed.rejections.prefix(1)
        }
    }
}
