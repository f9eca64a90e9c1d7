// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import FaultPoints
import Logging
import NIOConcurrencyHelpers
import NIOPosix
import Notifications
import Notifier

/// A report whose outcome is being published: what is needed to answer it once that has ended.
///
/// It holds nothing else of the report, because the rest must not stay in memory until the broker confirms. Exactly one
/// of its methods must be called, once. Each also answers the guest's other requests that sent the same outcome in the
/// meantime.
struct PendingReport: Sendable {
    typealias Completion = @Sendable (RPCResult) -> Void

    let key: OutcomeKey
    let messageID: MessageID
    /// The operation that the outcome ends, if the control plane has signed it.
    let operation: SignedOperation?
    /// The slot for the outcome's audit line; nil without an audit log.
    let auditSlot: AuditLog.Reservation?
    let ledger: NIOLockedValueBox<RelayLedgerStateMachine<Completion>>
    /// The warning that signed operations were forgotten.
    let forgottenOperations: RateLimitedWarning
    let logger: Logger
    let completion: Completion

    /// Acknowledges or rejects the report, as the drivers' result demands.
    func complete(_ result: Result<Void, DriverError>) {
        guard case .failure(let error) = result else { return self.acknowledge() }
        // The operator must fix the cause of a permanent rejection, and the answer refers to this line.
        self.logger.log(
            level: error.code == .rejected ? .error : .debug, "Failed to publish a notification",
            metadata: ["message_id": "\(self.messageID)", "error": "\(error)"])
        self.reject(RPCError(error), mayHaveArrived: error.mayHaveArrived)
    }

    /// Answers that the outcome is published.
    func acknowledge() {
        // Before the guest is answered, so that each outcome that the guest knows to be published has its line.
        self.auditSlot?.write(.published)
        let repeats = self.finish(.confirmed)
        FaultPoint.conductorBeforeAnswer.reached()
        self.completion(.success(.accepted(self.messageID, .published)))
        for completion in repeats { completion(.success(.accepted(self.messageID, .duplicate))) }
    }

    /// Answers that the outcome is not published.
    ///
    /// - Parameter mayHaveArrived: whether the broker may have the outcome in spite of the error.
    func reject(_ error: RPCError, mayHaveArrived: Bool) {
        if mayHaveArrived { self.auditSlot?.write(.unconfirmed) } else { self.auditSlot?.release() }
        let repeats = self.finish(mayHaveArrived ? .unconfirmed(error.code) : .unsent(error.code))
        self.completion(.failure(error))
        for completion in repeats { completion(.failure(error)) }
    }

    /// Records the result in the ledger.
    ///
    /// - Returns: the completions of the requests that repeated the outcome.
    private func finish(_ result: PublishResult) -> [Completion] {
        let now = NotificationTimestamp.now().microsecondsSinceEpoch / 1_000_000
        let (repeats, hasForgotten) = self.ledger.withLockedValue { ledger in
            let forgotten = ledger.counters.forgottenOperations
            let repeats = ledger.finish(self.key, result, operation: self.operation, now: now)
            return (repeats, ledger.counters.forgottenOperations > forgotten)
        }
        if hasForgotten { self.forgottenOperations.record(on: MultiThreadedEventLoopGroup.singleton.any()) }
        return repeats
    }
}
