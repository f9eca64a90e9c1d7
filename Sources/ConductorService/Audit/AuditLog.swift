// SPDX-License-Identifier: Apache-2.0

import ConductorRPC
import Dispatch
package import Logging
import NIOConcurrencyHelpers
package import NIOCore
import NIOPosix
import Notifications
import Notifier

/// A log of accepted outcomes: one line for each, with the guest that it came from.
///
/// Lines are made and written on a separate queue: no event loop and no publisher waits for them. When there is no slot
/// for another line, new outcomes are rejected until there is one, and none is published without a line. An outcome
/// that its guest sends again already has its line, so it is answered without a slot. The duplicates of a guest have
/// one line a minute, with their number.
package final class AuditLog: Sendable {
    /// The label of the log's lines.
    package static let label = "conductor.audit"
    /// The default number of slots: one for each outcome that can wait for the broker, and as many again for lines that
    /// are not written yet. So outcomes that wait for a broker that does not respond cannot fill all slots. Only a log
    /// whose reader is slow can.
    package static let defaultCapacity = 2 * MessagingDriver.maximumInHand

    private let log: @Sendable ([AuditRecord]) -> Void
    private let execute: @Sendable (@escaping @Sendable () -> Void) -> Void
    private let backlog: NIOLockedValueBox<AuditBacklogStateMachine>
    private let fullBacklogWarning: RateLimitedWarning
    private let now: @Sendable () -> NIODeadline
    private let duplicates = NIOLockedValueBox(GuestLogLimitStateMachine())

    /// - Parameters:
    ///   - capacity: the maximum number of outcomes that are in flight to the broker or have a line that is not written
    ///     yet.
    ///   - warnings: logs that outcomes were rejected.
    ///   - execute: runs work that may wait for the log, one piece at a time; nil for a private queue.
    ///   - now: the clock for the one line a minute about a guest's duplicates.
    ///   - log: writes the lines of these records, and returns once the log has accepted them. Called for one batch at
    ///     a time.
    package init(
        capacity: Int = AuditLog.defaultCapacity, warnings: Logger,
        execute: (@Sendable (@escaping @Sendable () -> Void) -> Void)? = nil,
        now: @escaping @Sendable () -> NIODeadline = { .now() },
        log: @escaping @Sendable ([AuditRecord]) -> Void
    ) {
        self.log = log
        self.now = now
        let queue = DispatchQueue(label: "conductor.audit")
        self.execute = execute ?? { work in queue.async { work() } }
        self.backlog = NIOLockedValueBox(AuditBacklogStateMachine(capacity: capacity))
        self.fullBacklogWarning = RateLimitedWarning(
            "Rejected outcomes: the audit backlog is full (outcomes in flight, and lines not written yet)",
            logger: warnings)
    }

    /// Creates an audit log that writes each batch as one text, with lines as `StreamLogHandler` would write them.
    package convenience init(
        capacity: Int = AuditLog.defaultCapacity, warnings: Logger, stream: LogWriter.Stream
    ) {
        self.init(capacity: capacity, warnings: warnings) { stream.write(AuditRecord.lines(of: $0)) }
    }

    /// Reserves a slot for the line of a new outcome, before the outcome is published.
    ///
    /// - Returns: nil if none is free.
    func reserve(for makeRecord: @autoclosure () -> AuditRecord) -> Reservation? {
        guard self.backlog.withLockedValue({ $0.reserve() }) else {
            self.fullBacklogWarning.record(on: MultiThreadedEventLoopGroup.singleton.any())
            return nil
        }
        return Reservation(audit: self, record: makeRecord())
    }

    /// Records an outcome that was answered `duplicate`. Its line is written if it is the guest's first one in a minute
    /// and a slot is free.
    func recordDuplicate(_ makeRecord: @autoclosure () -> AuditRecord, of guest: PeerIdentity) {
        // A slot is taken only for a line that is due. A line without a slot is left to the next duplicate.
        let line = self.duplicates.withLockedValue { duplicates in
            duplicates.record(guest, now: self.now()) { self.backlog.withLockedValue { $0.reserve() } }
        }
        guard let line else { return }
        var record = makeRecord()
        record.duplicates = 1 + line.before
        record.duplicatesOfOthers = line.beforeOfOthers
        self.append(record)
    }

    /// Returns a completion that records a repeated outcome once it is answered `duplicate`.
    func recordingDuplicate(
        _ completion: @escaping @Sendable (RPCResult) -> Void, _ record: AuditRecord, of guest: PeerIdentity
    ) -> @Sendable (RPCResult) -> Void {
        { result in
            if case .success = result { self.recordDuplicate(record, of: guest) }
            completion(result)
        }
    }

    /// A slot for the line of one outcome. Exactly one of its methods must be called, once.
    struct Reservation: Sendable {
        fileprivate let audit: AuditLog
        fileprivate let record: AuditRecord

        /// Writes the line: the outcome was accepted.
        func write(_ disposition: AuditRecord.Disposition) {
            var record = self.record
            record.disposition = disposition
            self.audit.append(record)
        }

        /// Frees the slot: no part of the outcome reached the broker.
        func release() { self.audit.backlog.withLockedValue { $0.release() } }
    }

    private func append(_ record: AuditRecord) {
        guard self.backlog.withLockedValue({ $0.append(record) }) else { return }
        self.execute { self.write() }
    }

    /// The maximum number of lines in a batch.
    private static let batch = 256

    private func write() {
        while true {
            let records = self.backlog.withLockedValue { $0.take(Self.batch) }
            guard !records.isEmpty else { return }
            self.log(records)
            self.backlog.withLockedValue { $0.written(records.count) }
        }
    }

    /// Waits until all lines are written, for at most this time.
    package func drain(within time: Duration) async {
        let end = ContinuousClock.now + time
        while !self.backlog.withLockedValue({ $0.isIdle }), .now < end { try? await Task.sleep(for: .milliseconds(5)) }
    }
}

extension RPCError {
    /// The error for an outcome whose audit line has no slot.
    static let auditBacklogFull = RPCError(
        .brokerUnavailable,
        "The conductor's audit backlog has no space for the line of another outcome at the moment; send this one again later.",
        retryAfterMilliseconds: 1000)
}
