import ConductorRPC
import Dispatch
package import Logging
import NIOConcurrencyHelpers
import NIOPosix
import Notifications
import TLSSocket

/// Writes one line into the log for each outcome that was accepted, with the guest it came from.
///
/// Lines are made and written on a queue of their own: no event loop and no publisher waits for them. When the log's reader is so slow
/// that there is no place for another line, outcomes are refused until there is one, rather than published without a line.
package final class OutcomeAudit: Sendable {
    /// The logger's label unless told otherwise.
    package static let label = "conductor.audit"
    /// How many places there are by default: more than outcomes can be on their way to the broker.
    package static let defaultCapacity = 16_384

    private let log: @Sendable ([AuditRecord]) -> Void
    private let execute: @Sendable (@escaping @Sendable () -> Void) -> Void
    private let backlog: NIOLockedValueBox<AuditBacklogStateMachine>
    private let refusals: Notice

    /// - Parameters:
    ///   - capacity: how many outcomes may be on their way to the broker or have a line that is not written yet.
    ///   - warnings: where it is written that outcomes were refused.
    ///   - execute: runs work that may wait for the log, one piece at a time; nil for a queue of the audit's own.
    ///   - log: writes the lines of these records, and returns when the log has taken them. Called for one batch at a time.
    package init(
        capacity: Int = OutcomeAudit.defaultCapacity, warnings: Logger,
        execute: (@Sendable (@escaping @Sendable () -> Void) -> Void)? = nil,
        log: @escaping @Sendable ([AuditRecord]) -> Void
    ) {
        self.log = log
        let queue = DispatchQueue(label: "conductor.audit")
        self.execute = execute ?? { work in queue.async { work() } }
        self.backlog = NIOLockedValueBox(AuditBacklogStateMachine(capacity: capacity))
        self.refusals = Notice(
            "Refused outcomes because the reader of this log is too slow for their audit lines", logger: warnings)
    }

    /// An audit whose lines are one text for each batch, as `StreamLogHandler` would write each of them.
    package convenience init(
        capacity: Int = OutcomeAudit.defaultCapacity, warnings: Logger, stream: LogWriter.Stream
    ) {
        self.init(capacity: capacity, warnings: warnings) { stream.write(AuditRecord.lines(of: $0)) }
    }

    /// Reserves the place of an outcome's line, before the outcome is published.
    ///
    /// - Throws: ``RPCError`` `broker_unavailable` when none is free.
    func reserve(
        for message: NotificationMessage, from peer: RPCPeer, isSigned: Bool
    ) throws(RPCError) -> Reservation {
        guard self.backlog.withLockedValue({ $0.reserve() }) else {
            self.refusals.happened(on: MultiThreadedEventLoopGroup.singleton.any())
            throw RPCError(
                .brokerUnavailable, "The conductor's log takes no more lines now; send it again later.",
                retryAfterMilliseconds: 1000)
        }
        return Reservation(
            audit: self,
            record: AuditRecord(
                messageID: message.messageID, eventType: message.eventType, guest: peer.sender.name,
                certificateSerial: peer.certificate?.serialNumber ?? "", peer: peer.remoteAddress, isSigned: isSigned,
                disposition: .published))
    }

    /// The place of one outcome's line. Exactly one of its methods is to be called, once.
    struct Reservation: Sendable {
        fileprivate let audit: OutcomeAudit
        fileprivate let record: AuditRecord

        /// The outcome was accepted: its line is written.
        func accepted(_ disposition: AuditRecord.Disposition) {
            var record = self.record
            record.disposition = disposition
            self.audit.append(record)
        }

        /// Nothing of the outcome is with the broker.
        func release() { self.audit.backlog.withLockedValue { $0.release() } }

        /// A completion that writes the line of an outcome which another request has brought already.
        func joining(
            _ completion: @escaping @Sendable (RPCResult) -> Void
        ) -> @Sendable (RPCResult) -> Void {
            { result in
                if case .success = result { self.accepted(.duplicate) } else { self.release() }
                completion(result)
            }
        }
    }

    private func append(_ record: AuditRecord) {
        guard self.backlog.withLockedValue({ $0.append(record) }) else { return }
        self.execute { self.write() }
    }

    /// How many lines the log is given at a time.
    private static let batch = 256

    private func write() {
        while true {
            let records = self.backlog.withLockedValue { $0.take(Self.batch) }
            guard !records.isEmpty else { return }
            self.log(records)
            self.backlog.withLockedValue { $0.written(records.count) }
        }
    }

    /// Waits until all lines are written, or for so long.
    package func drain(within time: Duration) async {
        let end = ContinuousClock.now + time
        while !self.backlog.withLockedValue({ $0.isIdle }), .now < end { try? await Task.sleep(for: .milliseconds(5)) }
    }
}
