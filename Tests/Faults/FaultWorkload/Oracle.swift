// SPDX-License-Identifier: Apache-2.0

/// Knows what each guest was promised about each operation of a run, and judges the contents of the queues.
///
/// A guest reports that it begins an operation before it calls `withNotification`, and the call's result after it
/// returned. So a killed guest leaves little unreported: its last operations are open, and may have had any one outcome
/// or none.
package struct Oracle {
    /// The state of an operation, according to its guest.
    package enum OperationState: UInt8, Sendable {
        /// It was begun; whether its outcome was kept is unknown.
        case open
        /// It ran, so `begin` had returned: its outcome must arrive, or an interruption, unless the power was cut.
        case running
        /// `withNotification` returned: the outcome must arrive.
        case kept
        /// `withNotification` refused to begin it, because the spool was full: nothing may arrive.
        case refused
        /// `withNotification` failed to begin it, because the disk failed: nothing may arrive except an interruption,
        /// because an error of the disk does not show what is on it.
        case notBegun
        /// It ran, and `withNotification` reported that its outcome could not be kept: one outcome or none may arrive.
        case notKept
    }

    private struct Operation {
        var state: OperationState
        var outcome: ObservedNotification.Outcome?
        var messageID = ""
        /// Two hashes of the first copy's bytes.
        var body: (Int, Int) = (0, 0)
        var copies = 0
        var problem: String?
    }

    private var operations: [PlannedOperation: Operation] = [:]
    private var alterations: [String] = []
    private var strangers = 0

    /// Creates an oracle that knows no operations.
    package init() {}

    /// Records what a guest reported about an operation.
    package mutating func said(_ operation: PlannedOperation, _ state: OperationState) {
        self.operations[operation, default: Operation(state: state)].state = state
    }

    /// Records a notification that was in a queue.
    package mutating func received(_ notification: ObservedNotification) {
        guard var operation = self.operations[notification.operation] else {
            self.strangers += 1
            return
        }
        defer { self.operations[notification.operation] = operation }
        operation.copies += 1
        let body = Self.hashes(notification.body)
        guard let outcome = operation.outcome else {
            operation.outcome = notification.outcome
            operation.messageID = notification.messageID
            operation.body = body
            return
        }
        if outcome != notification.outcome {
            operation.problem = "two outcomes: \(outcome) and \(notification.outcome)"
        } else if operation.messageID != notification.messageID {
            operation.problem = "two message ids: \(operation.messageID) and \(notification.messageID)"
        } else if operation.body != body {
            operation.problem = "two copies that differ in more than _unique_id"
        }
    }

    /// Records a message that was in a queue and does not result from an operation of the run.
    package mutating func received(_ alteration: AlterationError) { self.alterations.append(alteration.description) }

    private static func hashes(_ body: [UInt8]) -> (Int, Int) {
        var (first, second) = (Hasher(), Hasher())
        second.combine(1)
        body.withUnsafeBytes { bytes in
            first.combine(bytes: bytes)
            second.combine(bytes: bytes)
        }
        return (first.finalize(), second.finalize())
    }

    /// The result of the run so far.
    package var findings: Findings {
        var findings = Findings()
        findings.altered = self.alterations
        findings.strangers = self.strangers
        for (planned, operation) in self.operations {
            findings.operations += 1
            findings.messages += operation.copies
            findings.duplicates += max(0, operation.copies - 1)
            if operation.outcome == .interrupted { findings.interrupted += 1 }
            if let problem = operation.problem { findings.forked.append("\(planned.requestID): \(problem)") }
            switch operation.state {
            case .kept:
                findings.kept += 1
                if operation.outcome == nil { findings.lost.append(planned.requestID) }
                if operation.outcome == .interrupted {
                    findings.altered.append("\(planned.requestID): its outcome was kept, but an interruption reported")
                }
            case .open: findings.open += 1
            case .running:
                findings.open += 1
                if operation.outcome == nil { findings.lost.append("\(planned.requestID), which was running") }
            case .refused:
                findings.refused += 1
                if operation.outcome != nil {
                    findings.altered.append("\(planned.requestID): it was rejected, but an outcome was reported")
                }
            case .notBegun:
                findings.failedByDisk += 1
                if let outcome = operation.outcome, outcome != .interrupted {
                    findings.altered.append("\(planned.requestID): it was not run, but an outcome was reported")
                }
            case .notKept: findings.failedByDisk += 1
            }
        }
        return findings
    }
}

/// The findings of the oracle.
package struct Findings: Sendable {
    /// The number of operations that guests began or were refused.
    package var operations = 0
    /// The number of operations for which `withNotification` returned.
    package var kept = 0
    /// The number of operations whose guest was killed before it could report the result.
    package var open = 0
    /// The number of operations that a full spool refused.
    package var refused = 0
    /// The number of operations that could not begin, or whose outcome could not be kept, because of the disk.
    package var failedByDisk = 0
    /// The number of operations that were reported as interrupted.
    package var interrupted = 0
    /// The number of messages in the queues.
    package var messages = 0
    /// The number of messages beyond the first of an operation.
    package var duplicates = 0
    /// Kept outcomes for which no message arrived.
    package var lost: [String] = []
    /// Messages that do not result from their operation.
    package var altered: [String] = []
    /// Operations with two outcomes, two ids, or two bodies.
    package var forked: [String] = []
    /// The number of messages of operations that no guest reported.
    package var strangers = 0

    /// Creates findings without operations.
    package init() {}

    /// Whether every promise was kept.
    package var isFlawless: Bool {
        self.lost.isEmpty && self.altered.isEmpty && self.forked.isEmpty && self.strangers == 0
    }

    /// Adds another part of the run.
    package mutating func add(_ other: Findings) {
        self.operations += other.operations
        self.kept += other.kept
        self.open += other.open
        self.refused += other.refused
        self.failedByDisk += other.failedByDisk
        self.interrupted += other.interrupted
        self.messages += other.messages
        self.duplicates += other.duplicates
        self.lost += other.lost
        self.altered += other.altered
        self.forked += other.forked
        self.strangers += other.strangers
    }
}
