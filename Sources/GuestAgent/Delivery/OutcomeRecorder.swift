// SPDX-License-Identifier: Apache-2.0

import FaultPoints
import GuestSpool
import Logging
import NIOConcurrencyHelpers
import Timing

/// Records answered outcomes in the outbox, concurrently with sending. Answers that arrive during one transaction form
/// the next batch.
final class OutcomeRecorder: Sendable {
    private let outbox: any Outbox
    private let logger: Logger
    private let pending: NIOLockedValueBox<PendingAcknowledgementsStateMachine>
    private let hasFailed = NIOLockedValueBox(false)
    private let wakeSignal = WakeSignal()
    private let onProgress: @Sendable () -> Void

    /// - Parameters:
    ///   - outbox: the outbox to update.
    ///   - backoff: the delays after failures.
    ///   - logger: logs failures.
    ///   - onProgress: called after each batch, whether all of it could be recorded or not.
    init(outbox: any Outbox, backoff: Backoff, logger: Logger, onProgress: @escaping @Sendable () -> Void) {
        self.outbox = outbox
        self.logger = logger
        self.pending = NIOLockedValueBox(PendingAcknowledgementsStateMachine(backoff: backoff))
        self.onProgress = onProgress
    }

    /// Whether every answer was recorded in the outbox.
    var isEmpty: Bool { self.pending.withLockedValue { $0.isEmpty } }

    /// Whether more outcomes may be read and delivered.
    var isBelowLimit: Bool { self.pending.withLockedValue { $0.isBelowLimit } }

    /// Schedules the removal of outcomes that a conductor answered for.
    func scheduleRemoval(_ sequences: [Int64]) {
        guard !sequences.isEmpty else { return }
        self.pending.withLockedValue { $0.addRemovals(sequences) }
        self.wakeSignal.signal()
    }

    /// Schedules that the outbox sets aside an outcome that no conductor will accept.
    func scheduleSetAside(_ sequence: Int64, reason: String) {
        self.pending.withLockedValue { $0.addRejection(sequence, reason: reason) }
        self.wakeSignal.signal()
    }

    /// Updates the outbox until the task is cancelled; then records at most one more batch.
    func run() async {
        while !Task.isCancelled {
            if await self.recordBatch() { continue }
            await self.wakeSignal.wait(until: self.pending.withLockedValue { $0.nextDeadline })
        }
        // This runs in a separate task, since an outbox may react to the cancellation. The next agent sends outcomes
        // whose answers were not recorded again, with the same message id.
        await Task { _ = await self.recordBatch() }.value
    }

    /// - Returns: whether there was a batch to record.
    private func recordBatch() async -> Bool {
        guard let batch = self.pending.withLockedValue({ $0.takeBatch(now: .now) }) else { return false }
        var failed = PendingAcknowledgementsStateMachine.Batch()
        if !batch.removals.isEmpty {
            FaultPoint.agentBeforeRecord.reached()
            do { try await self.outbox.remove(batch.removals) } catch {
                self.log(error)
                failed.removals = batch.removals
            }
        }
        for (index, rejection) in batch.rejections.enumerated() {
            do { try await self.outbox.setAside(rejection.sequence, reason: rejection.reason) } catch {
                self.log(error)
                // The next ones would fail as well, and each would wait for the disk.
                failed.rejections = Array(batch.rejections[index...])
                break
            }
        }
        if failed.isEmpty { self.hasFailed.withLockedValue { $0 = false } }
        self.pending.withLockedValue { $0.recordResult(failed: failed, now: .now) }
        self.onProgress()
        return true
    }

    private func log(_ error: any Error) {
        let hasFailed = self.hasFailed.withLockedValue { hasFailed in
            defer { hasFailed = true }
            return hasFailed
        }
        self.logger.log(
            level: hasFailed ? .debug : .error,
            "Failed to record delivered outcomes; retrying",
            metadata: ["error": "\(error)"])
    }
}
