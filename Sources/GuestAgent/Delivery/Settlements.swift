/// What became of outcomes, until the outbox knows. It holds no I/O and no clock.
///
/// The outbox may refuse writes while it can be read, as on a disk that is full or has become read-only. What was
/// delivered is remembered here then, and not sent again.
struct Settlements {
    /// An outcome that no conductor will take.
    struct Rejection: Equatable, Sendable {
        var sequence: Int64
        var reason: String
    }

    /// What the outbox is told at a time.
    struct Batch: Equatable, Sendable {
        var removals: [Int64] = []
        var rejections: [Rejection] = []

        var isEmpty: Bool { self.removals.isEmpty && self.rejections.isEmpty }
    }

    /// Past these no more is read from the outbox; what is in memory then adds at most a window.
    private static let removalLimit = 65_536
    private static let rejectionLimit = 1024
    private static let batchLimit = 1024
    /// Of a reason, in bytes: it is a conductor's text.
    private static let reasonLimit = 1000

    private var pending = Batch()
    private var underWay: Batch?
    private var backoff: Backoff
    private var pauseEnd: ContinuousClock.Instant?

    init(backoff: Backoff) { self.backoff = backoff }

    /// Whether the outbox knows everything.
    var isEmpty: Bool { self.pending.isEmpty && self.underWay == nil }

    /// Whether more may be delivered.
    var hasRoom: Bool {
        self.pending.removals.count < Self.removalLimit && self.pending.rejections.count < Self.rejectionLimit
    }

    /// When the outbox is to be told again after a failure; nil when it is not waited for.
    var wakeUp: ContinuousClock.Instant? { self.pending.isEmpty ? nil : self.pauseEnd }

    /// A conductor answered for these outcomes.
    mutating func delivered(_ sequences: [Int64]) { self.pending.removals += sequences }

    /// No conductor will take this one.
    mutating func rejected(_ sequence: Int64, reason: String) {
        self.pending.rejections.append(
            Rejection(sequence: sequence, reason: TextCut.beginning(of: reason, encodedLength: Self.reasonLimit)))
    }

    /// What the outbox is to be told now; nil when there is nothing, or one batch is under way.
    mutating func take(now: ContinuousClock.Instant) -> Batch? {
        guard self.underWay == nil, !self.pending.isEmpty else { return nil }
        if let pauseEnd, pauseEnd > now { return nil }
        let batch = Batch(
            removals: Array(self.pending.removals.prefix(Self.batchLimit)),
            rejections: Array(self.pending.rejections.prefix(Self.batchLimit)))
        self.pending.removals.removeFirst(batch.removals.count)
        self.pending.rejections.removeFirst(batch.rejections.count)
        self.underWay = batch
        return batch
    }

    /// The outbox was told the batch that was under way, but for what failed.
    mutating func told(failed: Batch, now: ContinuousClock.Instant) {
        self.underWay = nil
        if failed.isEmpty {
            self.backoff.reset()
            self.pauseEnd = nil
        } else {
            self.pauseEnd = now + self.backoff.next()
            // Behind the others, so that one that cannot be told does not hold them up.
            self.pending.removals += failed.removals
            // The first is the one that failed; those after it were not tried.
            self.pending.rejections += failed.rejections.dropFirst() + failed.rejections.prefix(1)
        }
    }
}
