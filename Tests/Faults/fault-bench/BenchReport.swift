// SPDX-License-Identifier: Apache-2.0

import FaultWorkload

/// The results of the rounds so far.
struct BenchReport: Sendable {
    /// The result of one round.
    struct Round: Sendable {
        var judgement = Judgement()
        var faults: [Fault: Int] = [:]
        /// The number of processes that were ended by SIGKILL, including the broker's.
        var kills = 0
        /// Broken promises that are not about one message: a ledger that does not balance, a guest that does not drain.
        var problems: [String] = []

        /// Whether every promise was kept.
        var isFlawless: Bool { self.judgement.isFlawless && self.problems.isEmpty }

        /// The result as one line.
        var line: String {
            let judgement = self.judgement
            let text =
                "\(judgement.operations) operations, \(judgement.kept) kept, \(judgement.messages) messages, "
                + "\(judgement.duplicates) duplicates, \(judgement.interrupted) interrupted, \(self.kills) kills"
            guard !self.isFlawless else { return text }
            let findings =
                judgement.lost.map { "LOST \($0)" } + judgement.altered.map { "ALTERED \($0)" }
                + judgement.forked.map { "FORKED \($0)" } + self.problems.map { "PROBLEM \($0)" }
                + (judgement.strangers > 0 ? ["\(judgement.strangers) messages of unknown operations"] : [])
            return text + findings.prefix(20).map { "\n  \($0)" }.joined()
                + (findings.count > 20 ? "\n  and \(findings.count - 20) more" : "")
        }
    }

    private var total = Round()
    private var rounds = 0

    /// Whether there was a round, and every promise was kept.
    var isFlawless: Bool { self.rounds > 0 && self.total.isFlawless }

    /// Adds a round.
    mutating func add(_ round: Round) {
        self.rounds += 1
        self.total.judgement.add(round.judgement)
        self.total.faults.merge(round.faults, uniquingKeysWith: +)
        self.total.kills += round.kills
        self.total.problems += round.problems
    }

    /// Returns the whole report.
    func text(took: Duration, at points: NamedPointKills) -> String {
        let judgement = self.total.judgement
        var lines = ["", "\(self.rounds) rounds in \(took.components.seconds) s"]
        for fault in Fault.allCases { lines.append("  \(fault.rawValue): \(self.total.faults[fault, default: 0])") }
        lines.append("processes killed: \(self.total.kills)")
        lines += points.lines
        lines += [
            "operations: \(judgement.operations)", "  kept: \(judgement.kept)",
            "  open when their guest was killed: \(judgement.open)",
            "  refused by a full spool: \(judgement.refused)", "  failed by the disk: \(judgement.failedByDisk)",
            "  told as interrupted: \(judgement.interrupted)", "messages: \(judgement.messages)",
            "  duplicates: \(judgement.duplicates)", "lost: \(judgement.lost.count)",
            "altered: \(judgement.altered.count)", "forked: \(judgement.forked.count)",
            "other problems: \(self.total.problems.count)",
        ]
        return lines.joined(separator: "\n")
    }
}
