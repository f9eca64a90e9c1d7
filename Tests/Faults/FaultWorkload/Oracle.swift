// SPDX-License-Identifier: Apache-2.0

/// Knows of every operation of a run what its guest was promised, and judges what the queues held.
///
/// A guest says that it begins an operation before it calls `withNotification`, and what came of the call after it
/// returned; so what a killed guest did not say is bounded: its last operations are open, and may have had any one
/// outcome or none.
package struct Oracle {
    /// What is known of an operation from its guest.
    package enum Fate: UInt8, Sendable {
        /// It was begun; whether its outcome was kept is not known.
        case open
        /// It ran, so `begin` had returned: its outcome must arrive, or an interruption, unless the power was cut.
        case running
        /// `withNotification` returned: the outcome must arrive.
        case kept
        /// `withNotification` refused to begin it, since the spool was full: nothing may arrive.
        case refused
        /// `withNotification` failed to begin it, since the disk did: nothing may arrive but an interruption, for an error
        /// of the disk leaves open what is on it.
        case notBegun
        /// It ran, and `withNotification` said that its outcome could not be kept: one outcome or none.
        case notKept
    }

    private struct Operation {
        var fate: Fate
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

    /// Knows of nothing yet.
    package init() {}

    /// A guest said what it knows of an operation.
    package mutating func said(_ operation: PlannedOperation, _ fate: Fate) {
        self.operations[operation, default: Operation(fate: fate)].fate = fate
    }

    /// A queue held this.
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

    /// A queue held what no operation of the run leads to.
    package mutating func received(_ alteration: Alteration) { self.alterations.append(alteration.description) }

    private static func hashes(_ body: [UInt8]) -> (Int, Int) {
        var (first, second) = (Hasher(), Hasher())
        second.combine(1)
        body.withUnsafeBytes { bytes in
            first.combine(bytes: bytes)
            second.combine(bytes: bytes)
        }
        return (first.finalize(), second.finalize())
    }

    /// What came of the run.
    package var judgement: Judgement {
        var judgement = Judgement()
        judgement.altered = self.alterations
        judgement.strangers = self.strangers
        for (planned, operation) in self.operations {
            judgement.operations += 1
            judgement.messages += operation.copies
            judgement.duplicates += max(0, operation.copies - 1)
            if operation.outcome == .interrupted { judgement.interrupted += 1 }
            if let problem = operation.problem { judgement.forked.append("\(planned.requestID): \(problem)") }
            switch operation.fate {
            case .kept:
                judgement.kept += 1
                if operation.outcome == nil { judgement.lost.append(planned.requestID) }
                if operation.outcome == .interrupted {
                    judgement.altered.append("\(planned.requestID): its outcome was kept, and an interruption was told")
                }
            case .open: judgement.open += 1
            case .running:
                judgement.open += 1
                if operation.outcome == nil { judgement.lost.append("\(planned.requestID), which was running") }
            case .refused:
                judgement.refused += 1
                if operation.outcome != nil {
                    judgement.altered.append("\(planned.requestID): it was refused, and told of all the same")
                }
            case .notBegun:
                judgement.failedByDisk += 1
                if let outcome = operation.outcome, outcome != .interrupted {
                    judgement.altered.append("\(planned.requestID): it was not run, and an outcome was told")
                }
            case .notKept: judgement.failedByDisk += 1
            }
        }
        return judgement
    }
}

/// What the oracle found.
package struct Judgement: Sendable {
    /// Operations that guests began or were refused.
    package var operations = 0
    /// Operations for which `withNotification` returned.
    package var kept = 0
    /// Operations whose guest was killed before it could say.
    package var open = 0
    /// Operations that a full spool refused.
    package var refused = 0
    /// Operations that the disk kept from beginning or from being kept.
    package var failedByDisk = 0
    /// Operations that were told as interrupted.
    package var interrupted = 0
    /// Messages that the queues held.
    package var messages = 0
    /// Messages beyond the first of an operation.
    package var duplicates = 0
    /// Kept outcomes of which no message came.
    package var lost: [String] = []
    /// Messages that are not what their operation leads to.
    package var altered: [String] = []
    /// Operations with two outcomes, two ids, or two bodies.
    package var forked: [String] = []
    /// Messages of operations that no guest spoke of.
    package var strangers = 0

    /// Nothing yet.
    package init() {}

    /// Whether every promise was kept.
    package var isFlawless: Bool {
        self.lost.isEmpty && self.altered.isEmpty && self.forked.isEmpty && self.strangers == 0
    }

    /// Adds another part of the run.
    package mutating func add(_ other: Judgement) {
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
