import ConductorRPC
import Dispatch
package import Logging
import NIOConcurrencyHelpers
package import NIOCore
import NIOPosix
import Notifier

/// Writes one line into the log for each outcome that was accepted, with the guest it came from.
///
/// Lines are made and written on a queue of their own: no event loop and no publisher waits for them. When there is no place for another
/// line, new outcomes are refused until there is one, rather than published without a line. An outcome that its guest sends again has
/// its line already: it needs no place, and such duplicates of a guest have one line a minute, with their number.
package final class OutcomeAudit: Sendable {
    /// The label of the log's lines.
    package static let label = "conductor.audit"
    /// How many places there are by default: one for each outcome that can wait for the broker, and as many again for lines
    /// that are not written yet. So a broker that answers nothing takes none from other outcomes, and only a log whose reader is slow
    /// can fill them all.
    package static let defaultCapacity = 2 * MessagingDriver.maximumInHand

    private let log: @Sendable ([AuditRecord]) -> Void
    private let execute: @Sendable (@escaping @Sendable () -> Void) -> Void
    private let backlog: NIOLockedValueBox<AuditBacklogStateMachine>
    private let refusals: Notice
    private let now: @Sendable () -> NIODeadline
    private let duplicates = NIOLockedValueBox(GuestNotices())

    /// - Parameters:
    ///   - capacity: how many outcomes may be on their way to the broker or have a line that is not written yet.
    ///   - warnings: where it is written that outcomes were refused.
    ///   - execute: runs work that may wait for the log, one piece at a time; nil for a queue of the audit's own.
    ///   - now: the clock by which a guest's duplicates have a line a minute.
    ///   - log: writes the lines of these records, and returns when the log has taken them. Called for one batch at a time.
    package init(
        capacity: Int = OutcomeAudit.defaultCapacity, warnings: Logger,
        execute: (@Sendable (@escaping @Sendable () -> Void) -> Void)? = nil,
        now: @escaping @Sendable () -> NIODeadline = { .now() },
        log: @escaping @Sendable ([AuditRecord]) -> Void
    ) {
        self.log = log
        self.now = now
        let queue = DispatchQueue(label: "conductor.audit")
        self.execute = execute ?? { work in queue.async { work() } }
        self.backlog = NIOLockedValueBox(AuditBacklogStateMachine(capacity: capacity))
        self.refusals = Notice(
            "Refused outcomes: all places for their audit lines are taken by outcomes in flight and lines not written yet",
            logger: warnings)
    }

    /// An audit whose lines are one text for each batch, as `StreamLogHandler` would write each of them.
    package convenience init(
        capacity: Int = OutcomeAudit.defaultCapacity, warnings: Logger, stream: LogWriter.Stream
    ) {
        self.init(capacity: capacity, warnings: warnings) { stream.write(AuditRecord.lines(of: $0)) }
    }

    /// Reserves the place of a new outcome's line, before the outcome is published.
    ///
    /// - Returns: nil when none is free.
    func reserve(for makeRecord: @autoclosure () -> AuditRecord) -> Reservation? {
        guard self.backlog.withLockedValue({ $0.reserve() }) else {
            self.refusals.happened(on: MultiThreadedEventLoopGroup.singleton.any())
            return nil
        }
        return Reservation(audit: self, record: makeRecord())
    }

    /// An outcome was answered `duplicate`: its line is written if it is the guest's first one in a minute and there is a place.
    func duplicate(_ makeRecord: @autoclosure () -> AuditRecord, of guest: PeerIdentity) {
        // A place is taken only for a line that is due, and a line without a place is left to the next duplicate.
        let line = self.duplicates.withLockedValue { duplicates in
            duplicates.happened(guest, now: self.now()) { self.backlog.withLockedValue { $0.reserve() } }
        }
        guard let line else { return }
        var record = makeRecord()
        record.duplicates = 1 + line.before
        record.duplicatesOfOthers = line.beforeOfOthers
        self.append(record)
    }

    /// A completion that records an outcome which another request has brought already, once it is answered `duplicate`.
    func joining(
        _ completion: @escaping @Sendable (RPCResult) -> Void, _ record: AuditRecord, of guest: PeerIdentity
    ) -> @Sendable (RPCResult) -> Void {
        { result in
            if case .success = result { self.duplicate(record, of: guest) }
            completion(result)
        }
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

extension RPCError {
    /// There is no place for another outcome's audit line.
    static let noPlaceForLine = RPCError(
        .brokerUnavailable,
        "The conductor has no place for the audit line of another outcome at the moment; send this one again later.",
        retryAfterMilliseconds: 1000)
}
