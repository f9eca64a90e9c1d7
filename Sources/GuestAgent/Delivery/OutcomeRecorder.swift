import FaultPoints
import GuestSpool
import Logging
import NIOConcurrencyHelpers

/// Tells the outbox what became of outcomes, beside the sending: answers that arrive while one transaction is on its way
/// make up the next.
final class OutcomeRecorder: Sendable {
    private let outbox: any Outbox
    private let logger: Logger
    private let settlements: NIOLockedValueBox<Settlements>
    private let hasFailed = NIOLockedValueBox(false)
    private let wakeUp = Signal()
    private let onProgress: @Sendable () -> Void

    /// - Parameters:
    ///   - outbox: what is told.
    ///   - backoff: the pauses after failures.
    ///   - logger: told of failures.
    ///   - onProgress: called when the outbox has been told something.
    init(outbox: any Outbox, backoff: Backoff, logger: Logger, onProgress: @escaping @Sendable () -> Void) {
        self.outbox = outbox
        self.logger = logger
        self.settlements = NIOLockedValueBox(Settlements(backoff: backoff))
        self.onProgress = onProgress
    }

    /// Whether the outbox knows everything.
    var isEmpty: Bool { self.settlements.withLockedValue { $0.isEmpty } }

    /// Whether more may be delivered.
    var hasRoom: Bool { self.settlements.withLockedValue { $0.hasRoom } }

    /// A conductor answered for these outcomes.
    func delivered(_ sequences: [Int64]) {
        guard !sequences.isEmpty else { return }
        self.settlements.withLockedValue { $0.delivered(sequences) }
        self.wakeUp.signal()
    }

    /// No conductor will take this one.
    func rejected(_ sequence: Int64, reason: String) {
        self.settlements.withLockedValue { $0.rejected(sequence, reason: reason) }
        self.wakeUp.signal()
    }

    /// Tells the outbox until the task is cancelled; then once more what is left.
    func run() async {
        while !Task.isCancelled {
            if await self.tell() { continue }
            await self.wakeUp.wait(until: self.settlements.withLockedValue { $0.wakeUp })
        }
        // In a task of its own, since an outbox may heed the cancellation. What is not told is sent again by the next
        // agent, under its message id.
        await Task { _ = await self.tell() }.value
    }

    /// - Returns: whether there was something to tell.
    private func tell() async -> Bool {
        guard let batch = self.settlements.withLockedValue({ $0.take(now: .now) }) else { return false }
        var failed = Settlements.Batch()
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
                // The next would fail as well, and each would wait for the disk.
                failed.rejections = Array(batch.rejections[index...])
                break
            }
        }
        if failed.isEmpty { self.hasFailed.withLockedValue { $0 = false } }
        self.settlements.withLockedValue { $0.told(failed: failed, now: .now) }
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
            "The outbox cannot be told what was delivered; it is told again, and delivery goes on",
            metadata: ["error": "\(error)"])
    }
}
