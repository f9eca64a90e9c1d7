// SPDX-License-Identifier: Apache-2.0

/// What one attack has cost, over its repetitions.
struct AttackResult {
    /// The attack's name.
    let name: String
    /// The quiet windows around it.
    var quiet: [Latencies] = []
    /// The windows under attack.
    var attacked: [Latencies] = []
    /// What went wrong for well-behaved guests.
    var wrong: [String] = []
    /// Answers that did not come in time.
    var unanswered = 0
    /// Descriptors before the attack, at most during it, after it, by repetition.
    var descriptors: [(before: Int, during: Int, after: Int)] = []
    /// KiB in memory, likewise.
    var resident: [(before: Int, during: Int, after: Int)] = []
    /// The conductor's processor time, of one processor's.
    var load: [Double] = []
    /// What the attackers counted, all together.
    var tally: [String: Int] = [:]
    /// How newcomers fared.
    var newcomer = Newcomer.Visits()

    /// How many times as long the slowest hundredth took.
    func ratio(quiet: Latencies) -> Double {
        quiet.p99 > .zero ? Latencies.joined(self.attacked).p99 / quiet.p99 : 0
    }

    /// What the attackers counted, in words.
    var counted: String {
        self.tally.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
    }

    /// The table's head.
    static var head: String {
        Report.row([
            "attack", "p50", "p99", "max", "p99 against quiet", "conductor's load", "descriptors", "memory",
            "newcomers in",
        ]) + "\n|---|---|---|---|---|---|---|---|---|"
    }

    /// Its row; descriptors and memory are before, at most during, and after.
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
