// SPDX-License-Identifier: Apache-2.0

/// The measurements of one attack, over its repetitions.
struct AttackResult {
    /// The attack's name.
    let name: String
    /// The quiet windows around the attack.
    var quiet: [Latencies] = []
    /// The windows under attack.
    var attacked: [Latencies] = []
    /// The wrong answers to well-behaved guests.
    var wrong: [String] = []
    /// The number of answers that did not arrive in time.
    var unanswered = 0
    /// The numbers of descriptors before, at most during, and after the attack, for each repetition.
    var descriptors: [(before: Int, during: Int, after: Int)] = []
    /// The resident memory in KiB, likewise.
    var resident: [(before: Int, during: Int, after: Int)] = []
    /// The conductor's processor time, as a fraction of one processor.
    var load: [Double] = []
    /// The counts of the attackers, all together.
    var tally: [String: Int] = [:]
    /// The times of newcomers.
    var newcomer = Newcomer.Visits()

    /// Returns the ratio of the p99 under attack to that in quiet.
    func ratio(quiet: Latencies) -> Double {
        quiet.p99 > .zero ? Latencies.joined(self.attacked).p99 / quiet.p99 : 0
    }

    /// The counts of the attackers, as text.
    var counted: String {
        self.tally.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
    }

    /// The head of the table.
    static var head: String {
        Report.row([
            "attack", "p50", "p99", "max", "p99 against quiet", "conductor's load", "descriptors", "memory",
            "newcomers in",
        ]) + "\n|---|---|---|---|---|---|---|---|---|"
    }

    /// Returns its row of the table; descriptors and memory are before, at most during, and after.
    func row(quiet: Latencies) -> String {
        let times = Latencies.joined(self.attacked)
        let load = self.load.reduce(0, +) / Double(max(self.load.count, 1))
        let descriptors = self.descriptors.map { "\($0.before)/\($0.during)/\($0.after)" }.last ?? ""
        let memory = self.resident.last.map {
            "\(Report.text(kibibytes: self.resident[0].before))/\(Report.text(kibibytes: $0.during))/"
                + Report.text(kibibytes: $0.after)
        }
        return Report.row([
            self.name, Report.text(times.median), Report.text(times.p99), Report.text(times.maximum),
            Report.text(self.ratio(quiet: quiet)), Report.text(load), descriptors, memory ?? "", self.newcomer.text,
        ])
    }
}
