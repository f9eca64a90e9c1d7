// SPDX-License-Identifier: Apache-2.0

import FaultWorkload

/// The results of the rounds so far.
struct BenchReport: Sendable {
    /// The result of one round.
    struct Round: Sendable {
        var findings = Findings()
        var faults: [Fault: Int] = [:]
        /// The number of processes that were ended by SIGKILL, including the broker's.
        var kills = 0
        /// Broken promises that are not about one message: a ledger that does not balance, a guest that does not drain.
        var problems: [String] = []

        /// Whether every promise was kept.
        var isFlawless: Bool { self.findings.isFlawless && self.problems.isEmpty }

        /// The result as one line.
        var line: String {
            let findings = self.findings
            let text =
                "\(findings.operations) operations, \(findings.kept) kept, \(findings.messages) messages, "
                + "\(findings.duplicates) duplicates, \(findings.interrupted) interrupted, \(self.kills) kills"
            guard !self.isFlawless else { return text }
            let lines =
                findings.lost.map { "LOST \($0)" } + findings.altered.map { "ALTERED \($0)" }
                + findings.forked.map { "FORKED \($0)" } + self.problems.map { "PROBLEM \($0)" }
                + (findings.strangers > 0 ? ["\(findings.strangers) messages of unknown operations"] : [])
            return text + lines.prefix(20).map { "\n  \($0)" }.joined()
                + (lines.count > 20 ? "\n  and \(lines.count - 20) more" : "")
        }
    }

    private var total = Round()
    private var rounds = 0

    /// Whether there was a round, and every promise was kept.
    var isFlawless: Bool { self.rounds > 0 && self.total.isFlawless }

    /// Adds a round.
    mutating func add(_ round: Round) {
        self.rounds += 1
        self.total.findings.add(round.findings)
        self.total.faults.merge(round.faults, uniquingKeysWith: +)
        self.total.kills += round.kills
        self.total.problems += round.problems
    }

    /// Returns the whole report.
    func text(took: Duration, at points: NamedPointKills) -> String {
        let findings = self.total.findings
        var lines = ["", "\(self.rounds) rounds in \(took.components.seconds) s"]
        for fault in Fault.allCases { lines.append("  \(fault.rawValue): \(self.total.faults[fault, default: 0])") }
        lines.append("processes killed: \(self.total.kills)")
        lines += points.lines
        lines += [
            "operations: \(findings.operations)", "  kept: \(findings.kept)",
            "  open when their guest was killed: \(findings.open)",
            "  rejected by a full spool: \(findings.refused)", "  failed by the disk: \(findings.failedByDisk)",
            "  reported as interrupted: \(findings.interrupted)", "messages: \(findings.messages)",
            "  duplicates: \(findings.duplicates)", "lost: \(findings.lost.count)",
            "altered: \(findings.altered.count)", "forked: \(findings.forked.count)",
            "other problems: \(self.total.problems.count)",
        ]
        return lines.joined(separator: "\n")
    }
}
